// Control sockets: where zygotes listen for appd, now and after appd's death.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/messages.h"
#include "supervisor/runtime/pid_ref.h"

namespace appd::runtime {

// The folders of all of them.
struct ControlPlaces {
  std::string sockets;  // in the runtime directory, which cleaners may empty
  std::string copies;   // of the records, in the state directory
};

// What one zygote is found by.
struct ControlFiles {
  std::string socket;
  std::string record;  // beside it: whose it is
  std::string copy;    // of the record, for when socket and record are gone
};
ControlFiles control_files(const ControlPlaces& places, const std::string& token);
// Of zygotes of which there is any file.
std::vector<ControlFiles> list_control_files(const ControlPlaces& places);

// A listening SEQPACKET socket with a file of mode 0600 under a random name. Its folder is made if
// something has removed it.
struct ControlSocket {
  UniqueFd listening;
  ControlFiles files;
};
Result<ControlSocket> create_control_socket(const ControlPlaces& places);
Result<message::Channel> connect_control_socket(const std::string& path);

// Whose a control socket is. Record and copy keep that for as long as any process of the zygote's
// session is there, so that a later appd finds what it has left behind, and never touches a
// stranger.
struct Owner {
  pid_t pid = 0;                 // of the zygote, and the number of its session
  std::uint64_t start_time = 0;  // clock ticks since boot
  std::string boot;              // boot_id(5)
  std::string app;
  std::int64_t rollout = 0;
};
void write_owner(const ControlFiles& files, const Owner& owner);
// Of the record, or the copy if that is gone. A copy that was made for another socket is none: it
// came here with a copy of another appd's state.
Result<Owner> read_owner(const ControlFiles& files);
// Of a process that has just been started.
Owner owner_of(pid_t pid, const std::string& app, std::int64_t rollout);
// The zygote, if it still runs.
Result<PidRef> open_owner(const Owner& owner);
// What is unique to the socket, and stands in the environment of every process of the session.
std::string token_of(const std::string& socket_path);

// The socket, but not whose it is: nobody listens any more.
void remove_control_socket(const ControlFiles& files);
void remove_owner(const ControlFiles& files);

}  // namespace appd::runtime
