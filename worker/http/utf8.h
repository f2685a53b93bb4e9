// Utf8Check: whether text that comes in pieces is UTF-8 (RFC 3629 §4), told with the first piece
// that cannot be.
#pragma once

#include <cstdint>
#include <string_view>

namespace appd::http {

// A value of one byte; belongs to one text.
class Utf8Check {
 public:
  // Takes the next bytes. False: one of them cannot stand there, and never true again.
  bool take(std::string_view bytes);
  // The text may end here: no character is only begun.
  bool complete() const { return state_ == kStart; }

  static constexpr std::uint8_t kStart = 6;

 private:
  std::uint8_t state_ = kStart;
};

}  // namespace appd::http
