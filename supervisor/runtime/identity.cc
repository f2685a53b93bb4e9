// getpwnam(3), getgrnam(3) and getgrouplist(3).
#include "supervisor/runtime/identity.h"

#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <optional>

#include "supervisor/model/text.h"

namespace appd::runtime {
namespace {

std::optional<id_t> as_number(const std::string& text) {
  id_t number = 0;
  const char* end = text.data() + text.size();
  const auto read = std::from_chars(text.data(), end, number);
  // The largest means "leave it" to setresuid(2).
  if (read.ec != std::errc() || read.ptr != end || number == static_cast<id_t>(-1)) {
    return std::nullopt;
  }
  return number;
}

Error unknown(const char* field, const std::string& name) {
  return Error{ErrorCode::InvalidArgument, field,
               "this host has no " + std::string(field) + " " + model::in_quotes(name) +
                   ": create it first, or name another"};
}

Result<void> find_user(const std::string& user, Identity& identity) {
  const auto number = as_number(user);
  const passwd* entry = user.empty() ? ::getpwuid(::geteuid()) : ::getpwnam(user.c_str());
  if (entry == nullptr && number) entry = ::getpwuid(*number);
  if (entry != nullptr) {
    identity.uid = entry->pw_uid;
    identity.gid = user.empty() ? ::getegid() : entry->pw_gid;
    identity.name = entry->pw_name;
    identity.home = entry->pw_dir;
    return {};
  }
  if (!user.empty() && !number) return unknown("user", user);
  identity.uid = number.value_or(::geteuid());
  identity.gid = number ? *number : ::getegid();
  return {};
}

Result<void> find_group(const std::string& group, Identity& identity) {
  if (group.empty()) return {};
  const auto number = as_number(group);
  if (const auto* entry = ::getgrnam(group.c_str())) {
    identity.gid = entry->gr_gid;
  } else if (number) {
    identity.gid = *number;
  } else {
    return unknown("group", group);
  }
  return {};
}

std::vector<gid_t> groups_of(const Identity& identity) {
  if (identity.name.empty()) return {identity.gid};
  int count = 64;
  std::vector<gid_t> groups(static_cast<std::size_t>(count));
  if (::getgrouplist(identity.name.c_str(), identity.gid, groups.data(), &count) < 0) {
    groups.resize(static_cast<std::size_t>(count));
    ::getgrouplist(identity.name.c_str(), identity.gid, groups.data(), &count);
  }
  groups.resize(static_cast<std::size_t>(std::max(count, 0)));
  return groups;
}

}  // namespace

Result<Identity> identity_of(const std::string& user, const std::string& group) {
  Identity identity;
  TRY(find_user(user, identity));
  TRY(find_group(group, identity));
  identity.changes = identity.uid != ::geteuid() || identity.gid != ::getegid();
  if (identity.changes && ::geteuid() != 0) {
    return Error{ErrorCode::InvalidArgument, user.empty() ? "group" : "user",
                 "this appd runs as uid " + std::to_string(::geteuid()) +
                     ", and only root can act for others: leave it out, or run appd as root"};
  }
  if (identity.changes) identity.groups = groups_of(identity);
  return identity;
}

Result<void> give_file(const std::string& path, const std::string& user, const std::string& group,
                       mode_t mode) {
  const Identity owner = TRY(identity_of(user, group));
  if (::lchown(path.c_str(), owner.uid, owner.gid) < 0 || ::chmod(path.c_str(), mode) < 0) {
    return sys_error("FILE_OWNER", "set mode and owner of " + path, errno);
  }
  return {};
}

}  // namespace appd::runtime
