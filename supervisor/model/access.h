// Access: where the API's clients arrive, and what those who arrive there may do.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"
#include "supervisor/model/address.h"

namespace appd::model {

// Each may do what those before it may.
enum class Role {
  Viewer,    // look: apps, workers, operations, history, logs, figures
  Deployer,  // and change what runs of the apps that there are: scale, reload, roll back, recycle
  Admin,  // everything: what an app is, and whom it runs as, which is as good as being appd itself
};

std::string_view to_string(Role role);  // "viewer"
std::optional<Role> parse_role(std::string_view text);

// What somebody may do.
struct Rights {
  Role role = Role::Viewer;
  std::vector<std::string> apps;  // ids; empty: of all apps

  bool covers(std::string_view app) const;
  bool operator==(const Rights&) const = default;
};

// The apps that somebody asks about: one, or all that they may see.
struct AppScope {
  std::string app{};                   // id; empty: all
  std::vector<std::string> covered{};  // as Rights has them

  bool holds(std::string_view id) const;
};

// What is wrong with them; empty: nothing. An Admin is not limited to apps: who says what an app
// runs and as whom is held by no such limit.
std::string why_not(const Rights& rights);

// One address of the API. A unix socket, whose file's mode, owner and group are the permission, or
// TCP with TLS, where each client proves who it is. Nobody who arrives there has more than `role`.
struct Entrance {
  Address address;
  Role role = Role::Admin;
  mode_t mode = 0600;  // of the socket's file
  std::string owner;   // of the file; a name or a number; empty: appd's own
  std::string group;
  std::string cert;       // paths of PEM files: the chain of the server,
  std::string key;        // its private key,
  std::string client_ca;  // and who must have signed every client's; empty: tokens only

  bool is_tls() const { return address.family != AddressFamily::Unix; }
  bool operator==(const Entrance&) const = default;
};

// "unix:/run/appd/appd.sock", and after it, each once and in any order: ",role=viewer",
// ",mode=0660", ",owner=USER", ",group=GROUP". Or "HOST:PORT,cert=FILE,key=FILE", and perhaps
// ",client_ca=FILE" and ",role=viewer".
Result<Entrance> parse_entrance(std::string_view text);

// What the owner of a certificate may do.
struct ClientRule {
  std::string name;  // as client_names() of a certificate has it
  Rights rights;

  bool operator==(const ClientRule&) const = default;
};

// "NAME=ROLE" or "NAME=ROLE:APP,APP".
Result<ClientRule> parse_client_rule(std::string_view text);

}  // namespace appd::model
