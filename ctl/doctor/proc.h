// The kernel's text files in /proc and /sys, read as values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace appd::ctl {

// The file's text; empty if it cannot be read.
std::string kernel_text(const std::string& path);
// A file that is one number.
std::optional<std::uint64_t> kernel_number(const std::string& path);
// "MemTotal:   16384 kB" of /proc/meminfo or /proc/PID/status, in bytes.
std::optional<std::uint64_t> kibibytes_of(std::string_view text, std::string_view label);
// The soft limit in a line of /proc/PID/limits; UINT64_MAX: none.
std::optional<std::uint64_t> soft_limit(std::string_view limits, std::string_view label);

}  // namespace appd::ctl
