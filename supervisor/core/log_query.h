// What is asked of an app's logs, and what is answered. Values only.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"
#include "supervisor/model/observed.h"

namespace appd::core {

enum class LogSource { App, Access };

struct LogQuery {
  bool app = true;
  bool access = false;
  bool follow = false;
  std::optional<std::int32_t> tail;  // only the last so many of what matches
  std::optional<model::WallTime> since;
  std::optional<std::int32_t> worker;
  std::function<bool(std::string_view text)> wanted;  // empty: every line
  std::string after;                                  // the cursor of an entry
};

struct LogEntry {
  std::optional<model::WallTime> time;
  LogSource source = LogSource::App;
  std::int64_t rollout = 0;
  std::int32_t worker = 0;
  std::string line;  // UTF-8, without the prefix and the newline
  bool truncated = false;
  bool gap = false;  // lines before it were rotated away unread
  std::string cursor;
};

struct LogBatch {
  std::vector<LogEntry> entries;
  bool ended = false;
  std::optional<Error> error;
};

}  // namespace appd::core
