// Roles, entrances and rules in words.
#include "supervisor/model/access.h"

#include <algorithm>
#include <array>
#include <set>

#include "supervisor/model/app_spec.h"
#include "supervisor/model/file_mode.h"
#include "supervisor/model/text.h"

namespace appd::model {
namespace {

struct Named {
  Role role;
  std::string_view name;
};
constexpr std::array kRoles = {Named{Role::Viewer, "viewer"}, Named{Role::Deployer, "deployer"},
                               Named{Role::Admin, "admin"}};

constexpr std::string_view kRoleNames = "role must be viewer, deployer or admin, but got ";

Error wrong(std::string_view text, const std::string& why) {
  return Error{ErrorCode::InvalidArgument, "LISTEN_FAILED",
               "listen " + in_quotes(text) + ": " + why};
}

// What is wrong with "FILE"; empty: nothing.
std::string take_path(std::string_view name, std::string_view value, std::string& path) {
  if (!value.starts_with('/')) {
    return std::string(name) + " must be an absolute path, but got " + in_quotes(value);
  }
  path = value;
  return "";
}

// What is wrong with "NAME=VALUE"; empty: nothing.
std::string take_option(std::string_view name, std::string_view value, Entrance& entrance) {
  const bool tls = entrance.is_tls();
  if (name == "role") {
    const auto role = parse_role(value);
    if (!role) return std::string(kRoleNames) + in_quotes(value);
    entrance.role = *role;
  } else if (tls && name == "cert") {
    return take_path(name, value, entrance.cert);
  } else if (tls && name == "key") {
    return take_path(name, value, entrance.key);
  } else if (tls && name == "client_ca") {
    return take_path(name, value, entrance.client_ca);
  } else if (!tls && name == "mode") {
    const auto mode = parse_file_mode(value);
    if (!mode)
      return "mode must be three octal digits as in mode=0660, but got " + in_quotes(value);
    entrance.mode = *mode;
  } else if (!tls && name == "owner" && !value.empty()) {
    entrance.owner = value;
  } else if (!tls && name == "group" && !value.empty()) {
    entrance.group = value;
  } else {
    return "has " + in_quotes(name) +
           (tls ? ": write cert=, key=, client_ca= or role= with a value"
                : ": write role=, mode=, owner= or group= with a value");
  }
  return "";
}

// No apps at all stand for every app.
bool has(const std::vector<std::string>& apps, std::string_view app) {
  return apps.empty() || std::find(apps.begin(), apps.end(), app) != apps.end();
}

}  // namespace

std::string_view to_string(Role role) {
  return std::find_if(kRoles.begin(), kRoles.end(), [&](const Named& n) { return n.role == role; })
      ->name;
}

std::optional<Role> parse_role(std::string_view text) {
  const auto* found = std::find_if(kRoles.begin(), kRoles.end(),
                                   [&](const Named& named) { return named.name == text; });
  if (found == kRoles.end()) return std::nullopt;
  return found->role;
}

bool Rights::covers(std::string_view app) const { return has(apps, app); }

bool AppScope::holds(std::string_view id) const {
  return (app.empty() || id == app) && has(covered, id);
}

std::string why_not(const Rights& rights) {
  for (const std::string& app : rights.apps) {
    if (!valid_app_id(app)) return in_quotes(app) + " is no name of an app";
  }
  if (rights.role == Role::Admin && !rights.apps.empty()) {
    return "an admin says what an app runs and as whom, so no limit to apps would hold: choose "
           "deployer or viewer, or leave the apps out";
  }
  return "";
}

Result<Entrance> parse_entrance(std::string_view text) {
  const std::size_t comma = std::min(text.find(','), text.size());
  Entrance entrance;
  auto address = parse_address(text.substr(0, comma));
  if (!address) return wrong(text, address.error().message);
  entrance.address = *std::move(address);
  std::set<std::string, std::less<>> seen;
  for (std::string_view rest = text.substr(comma); !rest.empty();) {
    rest.remove_prefix(1);
    const std::string_view option = rest.substr(0, std::min(rest.find(','), rest.size()));
    rest.remove_prefix(option.size());
    const std::size_t equals = option.find('=');
    const std::string_view name = option.substr(0, std::min(equals, option.size()));
    const std::string_view value =
        equals == std::string_view::npos ? "" : option.substr(equals + 1);
    if (const auto why = take_option(name, value, entrance); !why.empty()) return wrong(text, why);
    if (!seen.emplace(name).second) return wrong(text, "has " + in_quotes(name) + " twice");
  }
  if (entrance.is_tls() && (entrance.cert.empty() || entrance.key.empty())) {
    return wrong(text,
                 "the API is on TCP with TLS only: add ,cert=FILE,key=FILE (and ,client_ca=FILE "
                 "for certificates of clients), or write \"unix:/absolute/path\" and reach it "
                 "from elsewhere through ssh -L");
  }
  return entrance;
}

Result<ClientRule> parse_client_rule(std::string_view text) {
  const auto refused = [&](const std::string& why) {
    return Error{ErrorCode::InvalidArgument, "CLIENT_INVALID",
                 "client " + in_quotes(text) + ": " + why};
  };
  // The name may be a URI with everything that those have.
  const std::size_t equals = text.rfind('=');
  if (equals == std::string_view::npos || equals == 0) {
    return refused("write NAME=ROLE or NAME=ROLE:APP,APP");
  }
  ClientRule rule;
  rule.name = text.substr(0, equals);
  const std::string_view rights = text.substr(equals + 1);
  const std::size_t colon = rights.find(':');
  const auto role = parse_role(rights.substr(0, colon));
  if (!role) return refused(std::string(kRoleNames) + in_quotes(rights.substr(0, colon)));
  rule.rights.role = *role;
  for (std::size_t at = colon; at != std::string_view::npos;) {
    const std::size_t next = rights.find(',', at + 1);
    rule.rights.apps.emplace_back(rights.substr(
        at + 1, next == std::string_view::npos ? std::string_view::npos : next - at - 1));
    at = next;
  }
  if (const std::string why = why_not(rule.rights); !why.empty()) return refused(why);
  return rule;
}

}  // namespace appd::model
