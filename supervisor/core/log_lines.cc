// Parsing by position: every line of every log passes here.
#include "supervisor/core/log_lines.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <ctime>

namespace appd::core {
namespace {

using std::chrono::system_clock;

bool digit(char c) { return c >= '0' && c <= '9'; }

// "2026-11-25T00:31:07": digits where `form` has 0, and the rest as it is.
bool has_form(std::string_view text, std::string_view form) {
  if (text.size() < form.size()) return false;
  for (std::size_t i = 0; i < form.size(); ++i) {
    if (form[i] == '0' ? !digit(text[i]) : text[i] != form[i]) return false;
  }
  return true;
}

int number(std::string_view text, std::size_t at, std::size_t digits) {
  int value = 0;
  std::from_chars(text.data() + at, text.data() + at + digits, value);
  return value;
}

model::WallTime wall_time(int year, int month, int day, std::string_view clock) {
  std::tm time{};
  time.tm_year = year - 1900;
  time.tm_mon = month - 1;
  time.tm_mday = day;
  time.tm_hour = number(clock, 0, 2);
  time.tm_min = number(clock, 3, 2);
  time.tm_sec = number(clock, 6, 2);
  return system_clock::from_time_t(::timegm(&time));
}

// "+0130" behind local time.
std::optional<std::chrono::minutes> offset(std::string_view text) {
  if (text.size() < 5 || (text[0] != '+' && text[0] != '-') || !has_form(text.substr(1), "0000")) {
    return std::nullopt;
  }
  const std::chrono::minutes minutes(number(text, 1, 2) * 60 + number(text, 3, 2));
  return text[0] == '-' ? -minutes : minutes;
}

// "2026-11-25T00:31:07"
model::WallTime iso_time(std::string_view text) {
  return wall_time(number(text, 0, 4), number(text, 5, 2), number(text, 8, 2), text.substr(11));
}

// "25/Nov/2026:00:31:07 +0000"
std::optional<model::WallTime> common_log_time(std::string_view text) {
  constexpr std::string_view kMonths = "JanFebMarAprMayJunJulAugSepOctNovDec";
  if (text.size() < 26 || !has_form(text, "00/") || text[6] != '/' ||
      !has_form(text.substr(7), "0000:00:00:00 ")) {
    return std::nullopt;
  }
  const std::size_t month = kMonths.find(text.substr(3, 3));
  const auto east = offset(text.substr(21));
  if (month == std::string_view::npos || month % 3 != 0 || !east) return std::nullopt;
  return wall_time(number(text, 7, 4), static_cast<int>(month / 3) + 1, number(text, 0, 2),
                   text.substr(12)) -
         *east;
}

// How many bytes at the beginning are one character of UTF-8; 0: none are.
std::size_t character(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return 1;
  const std::size_t size = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < size) return 0;
  for (std::size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  const bool overlong = (first == 0xe0 && byte(1) < 0xa0) || (first == 0xf0 && byte(1) < 0x90);
  const bool beyond = (first == 0xed && byte(1) > 0x9f) || (first == 0xf4 && byte(1) > 0x8f);
  return overlong || beyond ? 0 : size;
}

}  // namespace

LineOrigin app_line(std::string_view line) {
  LineOrigin origin;
  if (!has_form(line, "0000-00-00T00:00:00.000Z ")) return origin;
  const std::string_view rest = line.substr(25);
  const char* end = rest.data() + std::min<std::size_t>(rest.size(), 40);
  std::int64_t rollout = 0;
  std::int32_t worker = 0;
  auto read = std::from_chars(rest.data(), end, rollout);
  if (read.ec != std::errc() || read.ptr == end || *read.ptr != '/') return origin;
  if (read.ptr + 1 < end && read.ptr[1] == '-') {
    read.ptr += 2;
  } else {
    read = std::from_chars(read.ptr + 1, end, worker);
  }
  if (read.ec != std::errc() || read.ptr == end || *read.ptr != ' ') return origin;
  origin.time = iso_time(line) + std::chrono::milliseconds(number(line, 20, 3));
  origin.rollout = rollout;
  origin.worker = worker;
  origin.prefix = static_cast<std::size_t>(read.ptr + 1 - line.data());
  return origin;
}

LineOrigin access_line(std::string_view line) {
  constexpr std::string_view kJson = "{\"time\":\"";
  LineOrigin origin;
  if (line.starts_with(kJson)) {
    const std::string_view time = line.substr(kJson.size());
    if (!has_form(time, "0000-00-00T00:00:00")) return origin;
    if (const auto east = offset(time.substr(19))) origin.time = iso_time(time) - *east;
    return origin;
  }
  // What clients choose comes later in all usual formats.
  const std::size_t bracket = line.find('[');
  if (bracket != std::string_view::npos) origin.time = common_log_time(line.substr(bracket + 1));
  return origin;
}

std::string valid_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const std::size_t size = character(text);
    out += size == 0 ? std::string_view("\xef\xbf\xbd") : text.substr(0, size);
    text.remove_prefix(std::max<std::size_t>(size, 1));
  }
  return out;
}

void LineSplitter::feed(std::string_view text, const Take& take) {
  std::size_t at = 0;
  while (at < text.size()) {
    const void* found = std::memchr(text.data() + at, '\n', text.size() - at);
    const std::size_t end =
        found == nullptr ? text.size()
                         : static_cast<std::size_t>(static_cast<const char*>(found) - text.data());
    std::string_view piece = text.substr(at, end - at);
    const bool fresh = partial_.empty() && !overflowing_;
    if (fresh && found != nullptr && piece.size() <= kMaxLine) {
      take(piece, false, end + 1);
    } else {
      const std::size_t room = kMaxLine - std::min(partial_.size(), kMaxLine);
      overflowing_ = overflowing_ || piece.size() > room;
      partial_ += piece.substr(0, room);
      if (found != nullptr) {
        take(partial_, overflowing_, end + 1);
        partial_.clear();
        overflowing_ = false;
      }
    }
    at = end + 1;
  }
}

std::string LineSplitter::take_partial(bool& truncated) {
  truncated = std::exchange(overflowing_, false);
  return std::exchange(partial_, {});
}

}  // namespace appd::core
