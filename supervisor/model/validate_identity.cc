// The rules of whom an app runs as, and of its resource limits.
#include <cctype>

#include "supervisor/model/checker.h"
#include "supervisor/model/file_mode.h"

namespace appd::model {
namespace {

// What useradd(8) lets through, and numbers: whether there is such a user is the host's to say.
void check_account(Checker& check, const char* field, const std::string& name) {
  constexpr std::size_t kMost = 32;  // LOGIN_NAME_MAX less would do too
  const auto fits = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '-' || c == '.';
  };
  if (name.empty()) return;
  if (name.size() <= kMost && name.front() != '-' && std::all_of(name.begin(), name.end(), fits)) {
    return;
  }
  check.refuse(field, "must be the name or the number of a " + std::string(field) + ", but got " +
                          in_quotes(name) + ": write \"www-data\" or \"33\"");
}

void check_umask(Checker& check, const std::string& mask) {
  if (parse_file_mode(mask)) return;
  check.refuse("umask", "must be three octal digits, but got " + in_quotes(mask) +
                            ": write \"0022\", or \"0027\" to keep others out");
}

void check_limit(Checker& check, const char* field, std::int64_t value, std::int64_t least,
                 const char* what) {
  if (value == kNoLimitGiven) return;
  check.range(field, value, least, INT64_MAX, what,
              "choose a number in that range, or -1 for the limit that appd itself has");
}

// A zygote and a worker with its threads take a dozen; the kernel has no more numbers.
constexpr std::int64_t kFewestPids = 16;
constexpr std::int64_t kMostPids = 4'194'304;

// Of all the app's processes together: an interpreter alone takes half of the least memory.
void check_group_limits(Checker& check, const AppSpec& spec) {
  constexpr std::int64_t kLeast = std::int64_t{16} << 20;
  const auto memory = [&](const char* field, std::int64_t value) {
    if (value == 0) return;
    check.range(field, value, kLeast, INT64_MAX, "the memory of all the app's processes in bytes",
                "choose a size in that range, or 0 for no limit");
  };
  memory("limit_memory", spec.limit_memory);
  memory("limit_memory_high", spec.limit_memory_high);
  if (spec.limit_memory > 0 && spec.limit_memory_high > spec.limit_memory) {
    check.refuse("limit_memory_high", "must be at most limit_memory, which is " +
                                          std::to_string(spec.limit_memory) + ", but got " +
                                          std::to_string(spec.limit_memory_high) +
                                          ": lower it, or raise limit_memory");
  }
  if (spec.limit_pids != 0) {
    check.range("limit_pids", spec.limit_pids, kFewestPids, kMostPids,
                "the processes and threads of the app together",
                "choose a number in that range, or 0 for no limit");
  }
  // Written so that what is no number is refused.
  if (spec.limit_cpu == 0 || (spec.limit_cpu >= 0.01 && spec.limit_cpu <= 1024)) return;
  check.refuse("limit_cpu",
               "must be 0.01 to 1024 CPUs: write 1.5 for one and a half, or 0 for no limit");
}

}  // namespace

void check_identity(Checker& check, const AppSpec& spec) {
  check_account(check, "user", spec.user);
  check_account(check, "group", spec.group);
  check_umask(check, spec.umask);
  check_limit(check, "limit_nofile", spec.limit_nofile, 64, "the number of open descriptors");
  check_limit(check, "limit_nproc", spec.limit_nproc, 1, "the number of the user's processes");
  check_limit(check, "limit_core", spec.limit_core, 0, "the size of a core file in bytes");
  check_limit(check, "limit_as", spec.limit_as, std::int64_t{64} << 20,
              "the address space of a process in bytes");
  check_group_limits(check, spec);
}

}  // namespace appd::model
