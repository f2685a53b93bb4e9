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

// Beside each socket, PATH.pid says whose it is: pid and start time, so that a later appd can end a
// zygote that does not answer without ever touching a stranger.
void write_owner(const std::string& socket_path, pid_t pid);
Result<PidRef> read_owner(const std::string& socket_path);

std::vector<std::string> list_control_sockets(const std::string& directory);
void remove_control_socket(const std::string& path);

}  // namespace appd::runtime
