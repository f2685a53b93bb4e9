// Identity: who an app runs as, or a file belongs to, on this host.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "common/result.h"

namespace appd::runtime {

struct Identity {
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<gid_t> groups;  // supplementary, the user's own among them
  std::string name;           // of the user; empty: a number that has none
  std::string home;
  bool changes = false;  // it is not who appd runs as
};

// Looks user and group up, each a name or a number; empty: appd's own, the user's primary one. The
// error's reason is the field that is wrong, "user" or "group": there is none of that name, or this
// appd may not become another.
Result<Identity> identity_of(const std::string& user, const std::string& group);

// Gives a file to them, and then the mode that lets others in. Not through a symbolic link.
Result<void> give_file(const std::string& path, const std::string& user, const std::string& group,
                       mode_t mode);

}  // namespace appd::runtime
