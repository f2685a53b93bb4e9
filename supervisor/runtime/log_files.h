// Log files on disk: an app's two logs, their rotated predecessors, and how one becomes the other.
//
//   logs/web.log          what the app and its processes write
//   logs/web.access.log   a line for each request, once access_log is on
//   logs/web.log.1        rotated, the newest first
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/result.h"
#include "common/unique_fd.h"

namespace appd::runtime {

struct LogPaths {
  std::string app;
  std::string access;
};

// Which file it is, whatever it is called by now.
struct FileIdentity {
  dev_t device = 0;
  ino_t inode = 0;
  bool operator==(const FileIdentity&) const = default;
};

struct LogStat {
  FileIdentity identity;
  std::int64_t size = 0;
  std::chrono::system_clock::time_point modified;
  // Where the file system knows it.
  std::optional<std::chrono::system_clock::time_point> created;
};

std::optional<LogStat> stat_log(const std::string& path);
std::optional<LogStat> stat_log(int descriptor);

// Opened for appending; created with mode 0640.
Result<UniqueFd> open_log(const std::string& path);

// Descriptors for a message::Reopen.
Result<std::vector<UniqueFd>> open_logs(const LogPaths& paths, bool access);

std::string rotated_name(const std::string& path, std::int32_t number);

// path becomes path.1, path.1 becomes path.2, …; only `keep` of them stay. Afterwards there is no
// path: who has the file open goes on writing to path.1.
Result<void> rotate_log(const std::string& path, std::int32_t keep);
// Removes what is rotated beyond `keep`.
void trim_logs(const std::string& path, std::int32_t keep);

}  // namespace appd::runtime
