// rename(2) and friends.
#include "supervisor/runtime/log_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

namespace appd::runtime {
namespace {

using std::chrono::system_clock;

system_clock::time_point time_of(const statx_timestamp& time) {
  return system_clock::time_point(std::chrono::duration_cast<system_clock::duration>(
      std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec)));
}

std::optional<LogStat> stat_at(int descriptor, const char* path, int flags) {
  struct statx status {};
  constexpr unsigned kWanted = STATX_TYPE | STATX_INO | STATX_SIZE | STATX_MTIME | STATX_BTIME;
  if (::statx(descriptor, path, flags, kWanted, &status) < 0) return std::nullopt;
  LogStat out;
  out.identity = {makedev(status.stx_dev_major, status.stx_dev_minor), status.stx_ino};
  out.size = static_cast<std::int64_t>(status.stx_size);
  out.modified = time_of(status.stx_mtime);
  if ((status.stx_mask & STATX_BTIME) != 0) out.created = time_of(status.stx_btime);
  return out;
}

}  // namespace

std::optional<LogStat> stat_log(const std::string& path) {
  return stat_at(AT_FDCWD, path.c_str(), AT_SYMLINK_NOFOLLOW);
}

std::optional<LogStat> stat_log(int descriptor) { return stat_at(descriptor, "", AT_EMPTY_PATH); }

Result<UniqueFd> open_log(const std::string& path) {
  UniqueFd file(::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640));
  if (!file) return sys_error("LOG_OPEN", "open " + path, errno);
  return file;
}

Result<std::vector<UniqueFd>> open_logs(const LogPaths& paths, bool access) {
  std::vector<UniqueFd> files;
  files.push_back(TRY(open_log(paths.app)));
  if (access) files.push_back(TRY(open_log(paths.access)));
  return files;
}

std::string rotated_name(const std::string& path, std::int32_t number) {
  return number == 0 ? path : path + "." + std::to_string(number);
}

Result<void> rotate_log(const std::string& path, std::int32_t keep) {
  for (std::int32_t number = keep - 1; number >= 0; --number) {
    const std::string from = rotated_name(path, number);
    const std::string to = rotated_name(path, number + 1);
    // A gap in the row is no error, and closes by itself.
    if (::rename(from.c_str(), to.c_str()) < 0 && errno != ENOENT) {
      return sys_error("LOG_ROTATE", "rename " + from, errno);
    }
  }
  if (keep == 0 && ::unlink(path.c_str()) < 0 && errno != ENOENT) {
    return sys_error("LOG_ROTATE", "remove " + path, errno);
  }
  trim_logs(path, keep);
  return {};
}

void trim_logs(const std::string& path, std::int32_t keep) {
  std::int32_t number = keep + 1;
  while (::unlink(rotated_name(path, number).c_str()) == 0) ++number;
}

}  // namespace appd::runtime
