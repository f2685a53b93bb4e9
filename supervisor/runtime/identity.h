// Identity: who an app runs as on this host.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "common/result.h"
#include "supervisor/model/app_spec.h"

namespace appd::runtime {

struct Identity {
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<gid_t> groups;  // supplementary, the user's own among them
  std::string name;           // of the user; empty: a number that has none
  std::string home;
  bool changes = false;  // it is not who appd runs as
};

// Looks user and group up. The error's reason is the field that is wrong, "user" or "group": there
// is none of that name, or this appd may not become another.
Result<Identity> identity_of(const model::AppSpec& spec);

}  // namespace appd::runtime
