// Line by line over a head: line ends, control characters, limits.
#include "worker/http/head_scanner.h"

#include <cstring>

namespace appd::http {
namespace {

// Written without a branch in the loop so that the compiler can use vector instructions.
bool has_control(std::string_view text) {
  unsigned found = 0;
  for (char byte : text) {
    auto c = static_cast<unsigned char>(byte);
    found |= static_cast<unsigned>(c < 0x20 && c != '\t') | static_cast<unsigned>(c == 0x7f);
  }
  return found != 0;
}

bool refuse(Refusal& refusal, int status, std::string rule) {
  refusal = {status, std::move(rule)};
  return false;
}

std::string longer_than(const char* what, std::size_t limit, const char* setting) {
  return std::string(what) + " longer than " + std::to_string(limit) + " bytes (" + setting + ")";
}

}  // namespace

HeadScanner::Verdict HeadScanner::scan(std::string_view bytes, const Limits& limits,
                                       Refusal& refusal) {
  for (;;) {
    const void* found = std::memchr(bytes.data() + searched_, '\n', bytes.size() - searched_);
    if (found == nullptr) {
      if (!line_permitted(bytes, bytes.size(), false, limits, refusal)) return Verdict::Refused;
      searched_ = bytes.size();
      return Verdict::NeedMore;
    }
    auto feed = static_cast<std::size_t>(static_cast<const char*>(found) - bytes.data());
    if (!line_permitted(bytes, feed, true, limits, refusal)) return Verdict::Refused;
    bool empty = feed == line_begin_ + 1;
    line_begin_ = searched_ = feed + 1;
    if (!empty) {
      ++lines_;
    } else if (lines_ > 0) {
      return Verdict::Complete;
    } else if (head_begin_ == 0) {
      head_begin_ = line_begin_;
    } else {
      refuse(refusal, 400, "Empty lines before the request line");
      return Verdict::Refused;
    }
  }
}

// Looks at the line [line_begin_, end); `ended` says that bytes[end] is its line feed.
bool HeadScanner::line_permitted(std::string_view bytes, std::size_t end, bool ended,
                                 const Limits& limits, Refusal& refusal) const {
  std::string_view line = bytes.substr(line_begin_, end - line_begin_);
  bool is_request_line = lines_ == 0;
  if (!is_request_line && !line.empty()) {
    if (line[0] == ' ' || line[0] == '\t') {
      return refuse(refusal, 400, "Header line begins with white space (obs-fold)");
    }
    if (limits.fields != 0 && lines_ > limits.fields && line[0] != '\r') {
      return refuse(
          refusal, 431,
          "More than " + std::to_string(limits.fields) + " header fields (limit_request_fields)");
    }
  }
  bool has_return = !line.empty() && line.back() == '\r';
  std::size_t length = line.size() - (has_return ? 1 : 0);
  std::size_t room = limits.head_bytes() > line_begin_ ? limits.head_bytes() - line_begin_ : 0;
  std::size_t limit = is_request_line ? limits.request_line : limits.field_size;
  bool whole_head = limit == 0 || room < limit;
  if (whole_head) limit = room;
  if (has_control(line.substr(0, length < limit ? length : limit))) {
    return refuse(refusal, 400, "Control character in the request's head");
  }
  if (length > limit) {
    if (is_request_line) {
      return refuse(refusal, 414, longer_than("Request line", limit, "limit_request_line"));
    }
    return whole_head
               ? refuse(refusal, 431, longer_than("Head", limits.head_bytes(), "all header fields"))
               : refuse(refusal, 431,
                        longer_than("Header field", limit, "limit_request_field_size"));
  }
  if (ended && !has_return) return refuse(refusal, 400, "Line ends with LF alone, not CR LF");
  return true;
}

}  // namespace appd::http
