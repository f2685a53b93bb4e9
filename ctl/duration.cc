// Durations: text to milliseconds and back. Milliseconds are the finest grain that the API keeps,
// so anything finer is refused rather than rounded.
#include "ctl/duration.h"

#include <array>
#include <cstdint>
#include <cstdio>
#include <ctime>

namespace appd::ctl {
namespace {

struct Unit {
  std::string_view name;
  std::int64_t milliseconds;
};
constexpr std::array<Unit, 5> kUnits = {
    {{"d", 86'400'000}, {"h", 3'600'000}, {"m", 60'000}, {"s", 1'000}, {"ms", 1}}};
// A century: far below overflow, far above any sense.
constexpr std::int64_t kLongest = std::int64_t{100} * 365 * 24 * 3'600'000;

Error bad(std::string_view text, std::string_view why) {
  return Error{ErrorCode::InvalidArgument, "DURATION_INVALID",
               "'" + std::string(text) + "' " + std::string(why), 0};
}

bool digit(char c) { return c >= '0' && c <= '9'; }

// A decimal number as an integer of thousandths, exactly.
struct Number {
  std::int64_t thousandths = 0;
  bool too_fine = false;
  bool too_long = false;
};

// Takes "12", "12.5" or ".5" off the front of `rest`; false if there is none.
bool take_number(std::string_view& rest, Number& number) {
  std::size_t i = 0;
  std::size_t digits = 0;
  std::int64_t whole = 0;
  for (; i < rest.size() && digit(rest[i]); ++i, ++digits) {
    whole = whole * 10 + (rest[i] - '0');
    if (whole > kLongest) number.too_long = true, whole = 0;
  }
  std::int64_t fraction = 0;
  if (i < rest.size() && rest[i] == '.') {
    std::int64_t weight = 100;
    for (++i; i < rest.size() && digit(rest[i]); ++i, ++digits) {
      if (weight == 0 && rest[i] != '0') number.too_fine = true;
      fraction += (rest[i] - '0') * weight;
      weight /= 10;
    }
  }
  if (digits == 0) return false;
  rest.remove_prefix(i);
  number.thousandths = whole * 1000 + fraction;
  return true;
}

std::string_view take_word(std::string_view& rest) {
  std::size_t i = 0;
  while (i < rest.size() && !digit(rest[i]) && rest[i] != '.') ++i;
  std::string_view word = rest.substr(0, i);
  rest.remove_prefix(i);
  return word;
}

}  // namespace

Result<std::chrono::milliseconds> parse_duration(std::string_view text) {
  constexpr std::string_view kForm =
      "is no duration; write 30s, 1m30s, 500ms, or seconds as a number";
  std::string_view rest = text;
  std::int64_t total = 0;
  std::size_t next_unit = 0;
  bool first = true;
  if (rest.empty()) return bad(text, kForm);
  while (!rest.empty()) {
    Number number;
    if (!take_number(rest, number)) return bad(text, kForm);
    if (number.too_long) return bad(text, "is too long");
    std::string_view word = take_word(rest);
    if (word.empty() && first && rest.empty()) word = "s";
    while (next_unit < kUnits.size() && kUnits[next_unit].name != word) ++next_unit;
    if (next_unit == kUnits.size()) return bad(text, kForm);
    const std::int64_t unit = kUnits[next_unit++].milliseconds;
    if (number.thousandths / 1000 > kLongest / unit) return bad(text, "is too long");
    const std::int64_t value = number.thousandths * unit;
    if (number.too_fine || value % 1000 != 0) return bad(text, "is finer than a millisecond");
    total += value / 1000;
    first = false;
  }
  if (total > kLongest) return bad(text, "is too long");
  return std::chrono::milliseconds(total);
}

Result<SinceText> parse_since(std::string_view text) {
  if (const auto ago = parse_duration(text)) return SinceText{*ago, {}};
  std::string whole(text);
  const bool utc = !whole.empty() && whole.back() == 'Z';
  if (utc) whole.pop_back();
  if (whole.size() > 10 && whole[10] == 'T') whole[10] = ' ';
  for (const char* form : {"%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d"}) {
    std::tm time{};
    time.tm_isdst = -1;  // let mktime(3) find out
    const char* end = ::strptime(whole.c_str(), form, &time);
    if (end == nullptr || *end != '\0') continue;
    return SinceText{std::nullopt, std::chrono::system_clock::from_time_t(
                                       utc ? ::timegm(&time) : std::mktime(&time))};
  }
  return bad(text, "is neither a duration (10m, 24h) nor a time (2026-11-25 09:30)");
}

std::string format_duration(std::chrono::milliseconds duration) {
  std::int64_t left = duration.count();
  if (left == 0) return "0s";
  if (left < 0) return "-" + format_duration(-duration);
  if (left < 1000) return std::to_string(left) + "ms";
  std::string text;
  for (const Unit& unit : {kUnits[1], kUnits[2]}) {
    if (left < unit.milliseconds) continue;
    text += std::to_string(left / unit.milliseconds) + std::string(unit.name);
    left %= unit.milliseconds;
  }
  if (left == 0) return text;
  text += std::to_string(left / 1000);
  if (left % 1000 != 0) {
    std::string fraction = std::to_string(1000 + left % 1000).substr(1);
    fraction.erase(fraction.find_last_not_of('0') + 1);
    text += "." + fraction;
  }
  return text + "s";
}

std::string format_age(std::chrono::seconds age) {
  const std::int64_t seconds = age.count() < 0 ? 0 : age.count();
  struct Pair {
    std::int64_t size;
    const char* form;
    std::int64_t part;
  };
  constexpr std::array<Pair, 3> kPairs = {
      {{86'400, "%lldd%02lldh", 3'600}, {3'600, "%lldh%02lldm", 60}, {60, "%lldm%02llds", 1}}};
  for (const Pair& pair : kPairs) {
    if (seconds < pair.size) continue;
    std::array<char, 48> text{};
    std::snprintf(text.data(), text.size(), pair.form, static_cast<long long>(seconds / pair.size),
                  static_cast<long long>(seconds % pair.size / pair.part));
    return text.data();
  }
  return std::to_string(seconds) + "s";
}

std::string format_elapsed(std::chrono::milliseconds elapsed) {
  std::array<char, 48> text{};
  std::snprintf(text.data(), text.size(), "%lld.%03llds",
                static_cast<long long>(elapsed.count() / 1000),
                static_cast<long long>(elapsed.count() % 1000));
  return text.data();
}

}  // namespace appd::ctl
