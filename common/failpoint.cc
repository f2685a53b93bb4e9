// The table of armed failpoints, read once.
#include "common/failpoint.h"

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <list>
#include <optional>
#include <string>
#include <string_view>

namespace appd::failpoints {
namespace {

struct Point {
  std::string name;
  enum class Deed { Kill, Pause, Fail } deed = Deed::Kill;
  int error = 0;
  int at = 0;  // the hit that counts; 0: each
  std::atomic<int> hits = 0;
};

struct Table {
  std::list<Point> points;
  std::string mistake;
};

// What stands before the separator; the rest stays in `text`.
std::string_view take(std::string_view& text, char separator) {
  const std::size_t end = text.find(separator);
  const std::string_view part = text.substr(0, end);
  text.remove_prefix(end == text.npos ? text.size() : end + 1);
  return part;
}

std::optional<int> number(std::string_view text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 1) return std::nullopt;
  return value;
}

std::optional<int> errno_of(std::string_view name) {
  constexpr int kLast = 133;
  for (int error = 1; error <= kLast; ++error) {
    const char* known = ::strerrorname_np(error);
    if (known != nullptr && name == known) return error;
  }
  return std::nullopt;
}

bool parse(std::string_view text, Point& point) {
  point.name = take(text, '=');
  const std::string_view deed = take(text, ':');
  if (deed == "error") {
    point.deed = Point::Deed::Fail;
    const auto error = errno_of(take(text, ':'));
    if (!error) return false;
    point.error = *error;
  } else if (deed == "kill" || deed == "pause") {
    point.deed = deed == "kill" ? Point::Deed::Kill : Point::Deed::Pause;
    point.at = 1;
  } else {
    return false;
  }
  if (text.empty()) return !point.name.empty();
  const auto at = number(text);
  if (at) point.at = *at;
  return at && !point.name.empty();
}

const char* variable() {
  const char* text = std::getenv("APPD_FAILPOINTS");
  return text != nullptr ? text : "";
}

Table& table() {
  static Table read = [] {
    Table made;
    std::string_view rest = variable();
    while (!rest.empty()) {
      const std::string_view text = take(rest, ',');
      if (!parse(text, made.points.emplace_back())) made.mistake = text;
    }
    return made;
  }();
  return read;
}

}  // namespace

const bool armed = !std::string_view(variable()).empty();

Result<void> check() {
  if (table().mistake.empty()) return {};
  return Error{ErrorCode::InvalidArgument, "FAILPOINTS",
               "APPD_FAILPOINTS: \"" + table().mistake +
                   "\" is none of name=kill, name=pause and name=error:ENOSPC, each with :N for "
                   "the N-th time",
               0};
}

int hit(const char* name) {
  for (Point& point : table().points) {
    if (point.name != name) continue;
    const int hits = point.hits.fetch_add(1) + 1;
    if (point.at != 0 && hits != point.at) continue;
    switch (point.deed) {
      case Point::Deed::Kill:
        ::kill(::getpid(), SIGKILL);
        break;
      case Point::Deed::Pause:
        ::kill(::getpid(), SIGSTOP);
        break;
      case Point::Deed::Fail:
        return point.error;
    }
  }
  return 0;
}

}  // namespace appd::failpoints
