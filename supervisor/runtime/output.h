// Output: the end of the log that an app's stdout and stderr point at.
#pragma once

#include <cstdint>
#include <string>

#include "supervisor/runtime/log_files.h"

namespace appd::runtime {

// A place in a log, which its file keeps when it is rotated.
struct LogMark {
  FileIdentity file;
  std::int64_t size = 0;
};

// The end of an open log.
LogMark log_mark(int descriptor);
// What was written behind `from` (by default: at all), at most the last 4 KiB, as the app wrote it:
// without prefixes, control characters but newline and tab made harmless. Looks into the newest
// rotated files too.
std::string log_tail(const std::string& path, const LogMark& from = {});

}  // namespace appd::runtime
