// LogLine: one logfmt line on descriptor 2, written by one write(2) when it goes out of scope.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace appd::net {

// Any thread. Strings that clients control are quoted, escaped and cut.
class LogLine {
 public:
  // "error": needs a person; "warn": handled; "info": a change of state.
  LogLine(std::string_view level, std::string_view event);
  ~LogLine();
  LogLine(const LogLine&) = delete;
  LogLine& operator=(const LogLine&) = delete;

  LogLine& add(std::string_view key, std::string_view value);
  LogLine& add(std::string_view key, std::int64_t value);

 private:
  std::string text_;
};

}  // namespace appd::net
