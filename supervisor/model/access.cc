// Roles and entrances in words.
#include "supervisor/model/access.h"

#include <algorithm>
#include <array>
#include <set>

#include "supervisor/model/address.h"
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

Error wrong(std::string_view text, const std::string& why) {
  return Error{ErrorCode::InvalidArgument, "LISTEN_FAILED",
               "listen " + in_quotes(text) + ": " + why};
}

// What is wrong with "NAME=VALUE"; empty: nothing.
std::string take_option(std::string_view name, std::string_view value, Entrance& entrance) {
  if (name == "role") {
    const auto role = parse_role(value);
    if (!role) return "role must be viewer, deployer or admin, but got " + in_quotes(value);
    entrance.role = *role;
  } else if (name == "mode") {
    const auto mode = parse_file_mode(value);
    if (!mode)
      return "mode must be three octal digits as in mode=0660, but got " + in_quotes(value);
    entrance.mode = *mode;
  } else if (name == "owner" && !value.empty()) {
    entrance.owner = value;
  } else if (name == "group" && !value.empty()) {
    entrance.group = value;
  } else {
    return "has " + in_quotes(name) + ": write role=, mode=, owner= or group= with a value";
  }
  return "";
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

Result<Entrance> parse_entrance(std::string_view text) {
  const std::size_t comma = std::min(text.find(','), text.size());
  const Address address = TRY(parse_address(text.substr(0, comma)));
  if (address.family != AddressFamily::Unix) {
    return wrong(text,
                 "the API has no TLS and no passwords, so it is on unix sockets only: write "
                 "\"unix:/absolute/path\", and reach it from elsewhere through ssh -L");
  }
  Entrance entrance;
  entrance.path = address.path;
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
  return entrance;
}

}  // namespace appd::model
