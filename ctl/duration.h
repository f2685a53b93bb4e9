// Durations as people write and read them: "30s", "1m30s", "500ms"; a plain number is seconds, as
// in gunicorn. Pure.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "common/result.h"

namespace appd::ctl {

// Accepts d, h, m, s and ms, largest first, each once, with decimals ("1.5s"). Never negative.
Result<std::chrono::milliseconds> parse_duration(std::string_view text);
// "10m": that long ago; or "2026-11-25T09:30:00Z", "2026-11-25 09:30", "2026-11-25", which are
// local time unless they end with Z.
struct SinceText {
  std::optional<std::chrono::milliseconds> ago;
  std::chrono::system_clock::time_point time;
};
Result<SinceText> parse_since(std::string_view text);
// The shortest text that parse_duration() reads back as the same value.
std::string format_duration(std::chrono::milliseconds duration);
// The two largest units, for ages: "3m12s", "2h05m", "4d03h".
std::string format_age(std::chrono::seconds age);
// Seconds to the millisecond: "0.041s".
std::string format_elapsed(std::chrono::milliseconds elapsed);

}  // namespace appd::ctl
