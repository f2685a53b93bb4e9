// HeadScanner: finds where a request's head ends, in bytes that come in pieces.
//
// It applies what must be known before the head is complete, the limits, and the strictness about
// line feeds that llhttp 8.1 lacks. Each byte is looked at once and the first offending line
// decides; all else is left to parse_head(), which sees whole heads only. So the verdict is the
// same under any segmentation.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "worker/http/limits.h"

namespace appd::http {

// A value; belongs to one connection.
class HeadScanner {
 public:
  enum class Verdict { NeedMore, Complete, Refused };

  // `bytes` begins with the head's first byte and has everything that came so far.
  Verdict scan(std::string_view bytes, const Limits& limits, Refusal& refusal);

  // After Complete: where the request line starts (one empty line before it is ignored,
  // RFC 9112 §2.2) and where the body begins.
  std::size_t head_begin() const { return head_begin_; }
  std::size_t head_end() const { return line_begin_; }

 private:
  bool line_permitted(std::size_t length, char first, const Limits& limits, std::size_t& permitted,
                      Refusal& refusal) const;
  Verdict refused(std::string_view before, Refusal& refusal) const;

  std::size_t head_begin_ = 0;
  std::size_t line_begin_ = 0;  // of the line being looked for
  std::size_t searched_ = 0;    // no line feed before here
  std::size_t checked_ = 0;     // no control character before here
  std::uint32_t lines_ = 0;     // complete lines before line_begin_, the request line included
};

}  // namespace appd::http
