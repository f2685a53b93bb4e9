// Waiting for the end of a change, and telling how it ended.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "appd/v1/apps.pb.h"
#include "appd/v1/operations.pb.h"
#include "ctl/session.h"

namespace appd::ctl {

// The flags that every changing verb has.
struct ChangeOptions {
  std::string etag;
  std::string request_id;  // never empty when the verb runs
  std::string reason;      // for the history
  bool no_wait = false;
  std::optional<std::chrono::milliseconds> wait_timeout;
};

// What is known of a change when its call has been answered.
struct Change {
  std::string doing;  // "scale myapp"
  std::string app;    // id
  std::string what;   // for the last line: "reloaded"; may be empty
  std::optional<std::int32_t> ready_before;
  std::chrono::steady_clock::time_point began;
  // Set by verbs whose answer is an App: with -o json, that is what they print.
  std::optional<v1::App> answer;
};

struct Waited {
  v1::Operation operation;
  bool timed_out = false;
};

// Returns as soon as the operation is done, after at most `limit`. Shows progress on a terminal. If
// the user interrupts meanwhile, the process says that the operation goes on, and exits 130.
Outcome<Waited> wait_for(Session& session, v1::Operation operation,
                         std::optional<std::chrono::milliseconds> limit);

// Waits for the end, tells it on stdout (text only) or, if it is none that was wished for, on
// stderr. `operation` becomes the last that was seen.
ExitCode await_end(Session& session, const Change& change, const ChangeOptions& options,
                   v1::Operation& operation);

// Says so if the host does not keep the limits that the app shall have.
void note_limits(Session& session, const v1::App& app);

// From the first answer to the last line: waits unless told not to, prints, and decides the exit
// code.
ExitCode finish_change(Session& session, const Change& change, const ChangeOptions& options,
                       v1::Operation operation);

}  // namespace appd::ctl
