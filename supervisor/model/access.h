// Access: where the API's clients arrive, and what those who arrive there may do.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>

#include "common/result.h"

namespace appd::model {

// Each may do what those before it may.
enum class Role {
  Viewer,    // look: apps, workers, operations, history, logs, figures
  Deployer,  // and change what runs of the apps that there are: scale, reload, roll back, recycle
  Admin,  // everything: what an app is, and whom it runs as, which is as good as being appd itself
};

std::string_view to_string(Role role);  // "viewer"
std::optional<Role> parse_role(std::string_view text);

// One address of the API: a unix socket, whose file's mode, owner and group are the permission.
struct Entrance {
  std::string path;
  Role role = Role::Admin;
  mode_t mode = 0600;
  std::string owner;  // of the file; a name or a number; empty: appd's own
  std::string group;

  bool operator==(const Entrance&) const = default;
};

// "unix:/run/appd/appd.sock", and after it, each once and in any order: ",role=viewer",
// ",mode=0660", ",owner=USER", ",group=GROUP".
Result<Entrance> parse_entrance(std::string_view text);

}  // namespace appd::model
