// Output: the file that an app's stdout and stderr point at. The app's own descriptors write to it,
// so no line waits for appd and none is lost while appd is away.
#pragma once

#include <cstdint>
#include <string>

#include "common/result.h"
#include "common/unique_fd.h"

namespace appd::runtime {

// Opened for appending; created with mode 0640.
Result<UniqueFd> open_log(const std::string& path);
std::int64_t log_size(const std::string& path);
// What was written behind `from`, at most the last 4 KiB, control characters but newline and tab
// made harmless.
std::string log_tail(const std::string& path, std::int64_t from);

}  // namespace appd::runtime
