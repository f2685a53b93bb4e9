// The files behind this process's logs, and how they are replaced while it runs.
//
// A rotation gives every process of an app new descriptors. They come from the zygote over a socket
// of their own, and a signal handler can take them: a worker that has been inside the app for
// minutes gets them too, without its knowledge. Nothing is opened by name here, as a worker may not
// be allowed to.
#pragma once

#include <span>
#include <utility>

#include "common/result.h"
#include "common/unique_fd.h"

namespace appd::net {

// The access log's descriptor; -1: there is none. Async-signal-safe.
int access_log_descriptor();

// `log` takes the place of descriptors 1 and 2, `access` that of the access log's. Either may be
// -1: that one stays. The numbers never change, so that writers need no lock. Async-signal-safe.
void replace_log_files(int log, int access);

// From the zygote to one worker.
Result<std::pair<UniqueFd, UniqueFd>> log_file_link();
void send_log_files(int link, int log, int access);
// Takes what has come over the link, the newest last. Async-signal-safe, and may interrupt itself.
void take_log_files(int link);
// Whether the peer has not yet taken what was sent.
bool log_files_untaken(int link);

// For its log a process may have one link; SIGUSR1 takes what is on it.
void watch_log_file_link(int link);

}  // namespace appd::net
