// Line by line over a head: line ends and limits.
#include "worker/http/head_scanner.h"

#include <cstring>
#include <utility>

#include "worker/http/charset.h"

namespace appd::http {
namespace {

bool refuse(Refusal& refusal, int status, std::string rule) {
  refusal = {status, std::move(rule)};
  return false;
}

bool refuse_fields(const Limits& limits, Refusal& refusal) {
  return refuse(
      refusal, 431,
      "More than " + std::to_string(limits.fields) + " header fields (limit_request_fields)");
}

std::string longer_than(const char* what, std::size_t limit, const char* setting) {
  return std::string(what) + " longer than " + std::to_string(limit) + " bytes (" + setting + ")";
}

bool refuse_length(bool request_line, bool by_setting, const Limits& limits, Refusal& refusal) {
  if (!by_setting) {
    return refuse(refusal, request_line ? 414 : 431,
                  longer_than("Head", limits.head_bytes(), "all lines together"));
  }
  return request_line
             ? refuse(refusal, 414,
                      longer_than("Request line", limits.request_line, "limit_request_line"))
             : refuse(refusal, 431,
                      longer_than("Header field", limits.field_size, "limit_request_field_size"));
}

}  // namespace

HeadScanner::Verdict HeadScanner::scan(std::string_view bytes, const Limits& limits,
                                       Refusal& refusal) {
  const char* begin = bytes.data();
  const char* end = begin + bytes.size();
  for (;;) {
    const char* line = begin + line_begin_;
    const char* from = begin + searched_;
    const char* feed =
        static_cast<const char*>(std::memchr(from, '\n', static_cast<std::size_t>(end - from)));
    const char* line_end = feed == nullptr ? end : feed;
    bool has_return = line_end > line && line_end[-1] == '\r';
    auto length = static_cast<std::size_t>(line_end - line) - (has_return ? 1 : 0);
    std::size_t permitted = length;
    if (length > 0 && !line_permitted(length, *line, limits, permitted, refusal)) {
      return refused(bytes.substr(0, line_begin_ + permitted), refusal);
    }
    if (feed == nullptr) {
      bool garbage = has_control(bytes.substr(checked_));
      checked_ = searched_ = bytes.size();
      return garbage ? refused(bytes, refusal) : Verdict::NeedMore;
    }
    if (!has_return) {
      refuse(refusal, 400, "Line ends with LF alone, not CR LF");
      return refused(bytes.substr(0, line_begin_ + length), refusal);
    }
    line_begin_ = searched_ = static_cast<std::size_t>(feed + 1 - begin);
    if (length > 0) {
      ++lines_;
    } else if (lines_ > 0) {
      return Verdict::Complete;
    } else if (std::exchange(head_begin_, line_begin_) != 0) {
      refuse(refusal, 400, "Empty lines before the request line");
      return refused(bytes.substr(0, line_begin_), refusal);
    }
  }
}

// A control character before the broken rule was broken first. This is looked for only here and in
// incomplete heads, so that garbage is answered at once; in complete ones llhttp finds it.
HeadScanner::Verdict HeadScanner::refused(std::string_view before, Refusal& refusal) const {
  if (has_control(before)) refusal = control_character();
  return Verdict::Refused;
}

// Of the line at line_begin_, as far as it has come: its length so far and its first byte.
// `permitted` becomes how much of it breaks no rule.
inline bool HeadScanner::line_permitted(std::size_t length, char first, const Limits& limits,
                                        std::size_t& permitted, Refusal& refusal) const {
  std::size_t limit = limits.request_line;
  if (lines_ > 0) {
    limit = limits.field_size;
    permitted = 0;
    if (first == ' ' || first == '\t') {
      return refuse(refusal, 400, "Header line begins with white space (obs-fold)");
    }
    if (lines_ > limits.fields && limits.fields != 0) return refuse_fields(limits, refusal);
  }
  std::size_t room = limits.head_bytes() > line_begin_ ? limits.head_bytes() - line_begin_ : 0;
  bool by_setting = limit != 0 && limit <= room;
  permitted = by_setting ? limit : room;
  return length <= permitted || refuse_length(lines_ == 0, by_setting, limits, refusal);
}

}  // namespace appd::http
