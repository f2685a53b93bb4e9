// Output: the end of the file that an app's stdout and stderr point at.
#pragma once

#include <cstdint>
#include <string>

namespace appd::runtime {

std::int64_t log_size(const std::string& path);
// What was written behind `from`, at most the last 4 KiB, control characters but newline and tab
// made harmless.
std::string log_tail(const std::string& path, std::int64_t from);

}  // namespace appd::runtime
