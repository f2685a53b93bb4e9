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

// A listening SEQPACKET socket with a file of mode 0600 in `directory` under a random name.
struct ControlSocket {
  UniqueFd listening;
  std::string path;
};
Result<ControlSocket> create_control_socket(const std::string& directory);
Result<message::Channel> connect_control_socket(const std::string& path);

// Whose a control socket is. The file PATH.pid beside it keeps that for as long as any process of
// the zygote's session is there, so that a later appd finds what it has left behind, and never
// touches a stranger.
struct Owner {
  pid_t pid = 0;                 // of the zygote, and the number of its session
  std::uint64_t start_time = 0;  // clock ticks since boot
  std::string boot;              // boot_id(5)
  std::string app;
  std::int64_t rollout = 0;
};
void write_owner(const std::string& socket_path, const Owner& owner);
Result<Owner> read_owner(const std::string& socket_path);
// Of a process that has just been started.
Owner owner_of(pid_t pid, const std::string& app, std::int64_t rollout);
// The zygote, if it still runs.
Result<PidRef> open_owner(const Owner& owner);
// What is unique to the socket, and stands in the environment of every process of the session.
std::string token_of(const std::string& socket_path);

// The paths of sockets that are there, or whose owner's file is.
std::vector<std::string> list_control_sockets(const std::string& directory);
// The socket, but not the owner's file: nobody listens any more.
void remove_control_socket(const std::string& path);
void remove_owner(const std::string& socket_path);

}  // namespace appd::runtime
