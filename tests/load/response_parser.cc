// The grammar of RFC 9112, as far as answers need it.
#include "tests/load/response_parser.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <optional>

namespace appd::load {
namespace {

constexpr std::size_t kMaxLine = 64 * 1024;

bool is_token(std::string_view text) {
  constexpr std::string_view kOther = "!#$%&'*+-.^_`|~";
  return !text.empty() && std::all_of(text.begin(), text.end(), [&](unsigned char c) {
    return std::isalnum(c) != 0 || kOther.find(static_cast<char>(c)) != std::string_view::npos;
  });
}

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](unsigned char c) { return std::tolower(c); });
  return out;
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

std::optional<std::uint64_t> number(std::string_view text, int base) {
  std::uint64_t value = 0;
  auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (text.empty() || fault != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

const std::string* Response::field(std::string_view name) const {
  for (const auto& [key, value] : fields) {
    if (key == name) return &value;
  }
  return nullptr;
}

void ResponseParser::begin() { *this = ResponseParser(); }

std::size_t ResponseParser::feed(std::string_view bytes) {
  std::size_t at = 0;
  while (at < bytes.size() && state_ != State::Complete && state_ != State::Malformed) {
    std::string_view rest = bytes.substr(at);
    if (state_ == State::Body || state_ == State::Chunk || state_ == State::BodyToEnd) {
      std::size_t size = rest.size();
      if (state_ != State::BodyToEnd) size = std::min<std::uint64_t>(size, left_);
      response_.body.append(rest.substr(0, size));
      at += size;
      if (state_ == State::BodyToEnd) continue;
      left_ -= size;
      if (left_ == 0) state_ = state_ == State::Body ? State::Complete : State::ChunkEnd;
      continue;
    }
    std::size_t end = rest.find('\n');
    std::size_t size = end == std::string_view::npos ? rest.size() : end + 1;
    line_.append(rest.substr(0, size));
    at += size;
    if (line_.size() > kMaxLine) {
      fail("line longer than 64 KiB");
    } else if (end != std::string_view::npos) {
      take_line();
    }
  }
  return at;
}

bool ResponseParser::finish() {
  if (state_ == State::BodyToEnd) state_ = State::Complete;
  return state_ == State::Complete;
}

void ResponseParser::fail(std::string fault) {
  fault_ = std::move(fault);
  state_ = State::Malformed;
}

void ResponseParser::take_line() {
  if (line_.size() < 2 || line_[line_.size() - 2] != '\r') return fail("line ends with a bare LF");
  line_.resize(line_.size() - 2);
  if (line_.find_first_of(std::string_view("\r\0", 2)) != std::string::npos)
    return fail("CR or NUL within a line");
  switch (state_) {
    case State::StatusLine:
      take_status_line();
      break;
    case State::Field:
      line_.empty() ? end_head() : take_field();
      break;
    case State::ChunkSize:
      take_chunk_size();
      break;
    case State::ChunkEnd:
      if (!line_.empty()) return fail("bytes between a chunk and its CRLF");
      state_ = State::ChunkSize;
      break;
    case State::Trailer:
      if (line_.empty()) state_ = State::Complete;
      break;
    case State::Body:
    case State::BodyToEnd:
    case State::Chunk:
    case State::Complete:
    case State::Malformed:
      break;
  }
  line_.clear();
}

void ResponseParser::take_status_line() {
  std::string_view line = line_;
  bool known = line.starts_with("HTTP/1.1 ") || line.starts_with("HTTP/1.0 ");
  auto status = known && line.size() >= 12 ? number(line.substr(9, 3), 10) : std::nullopt;
  if (!status || *status < 100 || (line.size() > 12 && line[12] != ' ')) {
    return fail("not a status line: " + line_.substr(0, 60));
  }
  http_1_0_ = line[7] == '0';
  response_.status = static_cast<int>(*status);
  response_.keep_alive = !http_1_0_;
  state_ = State::Field;
}

void ResponseParser::take_field() {
  std::size_t colon = line_.find(':');
  std::string_view line = line_;
  if (colon == std::string::npos || !is_token(line.substr(0, colon))) {
    return fail("not a header field: " + line_.substr(0, 60));
  }
  response_.fields.emplace_back(lower(line.substr(0, colon)), trim(line.substr(colon + 1)));
}

void ResponseParser::end_head() {
  if (response_.status < 200) {  // an interim answer: the real one follows
    if (response_.status == 101) return fail("101 without an upgrade");
    return begin();
  }
  std::optional<std::uint64_t> length;
  bool chunked = false;
  for (const auto& [name, value] : response_.fields) {
    if (name == "content-length") {
      if (length) return fail("two Content-Length fields");
      length = number(value, 10);
      if (!length) return fail("Content-Length is no number: " + value);
    } else if (name == "transfer-encoding") {
      if (chunked || lower(value) != "chunked") return fail("Transfer-Encoding: " + value);
      chunked = true;
    } else if (name == "connection") {
      if (lower(value).find("close") != std::string::npos) response_.keep_alive = false;
      if (http_1_0_ && lower(value).find("keep-alive") != std::string::npos)
        response_.keep_alive = true;
    }
  }
  if (chunked && length) return fail("Content-Length with Transfer-Encoding");
  if (response_.status == 204 || response_.status == 304) {
    if (chunked || length.value_or(0) != 0) return fail("a body where the status allows none");
    state_ = State::Complete;
  } else if (chunked) {
    state_ = State::ChunkSize;
  } else if (length) {
    left_ = *length;
    state_ = left_ == 0 ? State::Complete : State::Body;
  } else {
    response_.keep_alive = false;
    state_ = State::BodyToEnd;
  }
}

void ResponseParser::take_chunk_size() {
  auto size = number(std::string_view(line_).substr(0, line_.find(';')), 16);
  if (!size) return fail("not a chunk size: " + line_.substr(0, 60));
  left_ = *size;
  state_ = left_ == 0 ? State::Trailer : State::Chunk;
}

}  // namespace appd::load
