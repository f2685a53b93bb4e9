// Writing of answer heads (RFC 9112 §4, §6; RFC 9110 §8.6).
#include "worker/http/response_head.h"

#include <charconv>

#include "worker/http/charset.h"

namespace appd::http {
namespace {

bool is_hop_by_hop(std::string_view name) {
  switch (name.size()) {
    case 2:
      return equals_ignoring_case(name, "te");
    case 7:
      return equals_ignoring_case(name, "trailer") || equals_ignoring_case(name, "upgrade");
    case 10:
      return equals_ignoring_case(name, "connection") || equals_ignoring_case(name, "keep-alive");
    case 16:
      return equals_ignoring_case(name, "proxy-connection");
    case 17:
      return equals_ignoring_case(name, "transfer-encoding");
    default:
      return false;
  }
}

}  // namespace

void ResponseHead::start(std::string_view status) {
  text_.clear();
  text_.reserve(status.size() + 16);
  text_.put("HTTP/1.1 ");
  text_.put(status);
  text_.put("\r\n");
  code_ = (status[0] - '0') * 100 + (status[1] - '0') * 10 + (status[2] - '0');
  wants_close_ = has_date_ = has_server_ = false;
  content_length_.reset();
}

void ResponseHead::start_upgrade(std::string_view protocol) {
  start("101 Switching Protocols");
  text_.append("Connection: Upgrade\r\nUpgrade: ");
  text_.append(protocol);
  text_.append("\r\n");
}

bool ResponseHead::add(std::string_view name, std::string_view value) {
  if (is_hop_by_hop(name)) {
    if (name.size() == 10 && has_token(value, "close")) wants_close_ = true;
    return true;
  }
  if (name.size() == 14 && equals_ignoring_case(name, "content-length")) {
    std::uint64_t length = 0;
    auto [at, error] = std::from_chars(value.data(), value.data() + value.size(), length);
    if (value.empty() || error != std::errc() || at != value.data() + value.size()) return false;
    if (content_length_.has_value()) return false;
    content_length_ = length;
    return true;
  }
  if (name.size() == 4 && equals_ignoring_case(name, "date")) has_date_ = true;
  if (name.size() == 6 && equals_ignoring_case(name, "server")) has_server_ = true;
  text_.reserve(name.size() + value.size() + 4);
  text_.put(name);
  text_.put(": ");
  text_.put(value);
  text_.put("\r\n");
  return true;
}

std::string_view ResponseHead::find(std::string_view lowered_name) const {
  std::string_view rest = text_.view();
  // The status line is passed over; after the empty line there may be a body.
  for (std::size_t end; (end = rest.find("\r\n")) != std::string_view::npos;) {
    rest.remove_prefix(end + 2);
    std::string_view line = rest.substr(0, rest.find("\r\n"));
    if (line.empty()) break;
    std::size_t colon = line.find(':');
    if (equals_ignoring_case(line.substr(0, colon), lowered_name)) {
      return trim(line.substr(colon + 1));
    }
  }
  return {};
}

Framing ResponseHead::framing(bool request_is_head, bool http_1_0,
                              std::optional<std::uint64_t> body_size) const {
  if (request_is_head || code_ < 200 || code_ == 204 || code_ == 304) return Framing::NoBody;
  if (content_length_.has_value() || body_size.has_value()) return Framing::Length;
  return http_1_0 ? Framing::Close : Framing::Chunked;
}

ByteBuffer& ResponseHead::finish(Framing framing, bool keep_alive, bool http_1_0,
                                 std::string_view date) {
  constexpr std::size_t kOurFields = 160;
  text_.reserve(kOurFields + date.size());
  if (!has_server_) text_.put("Server: appd\r\n");
  if (!has_date_) text_.put(date);
  bool length_allowed = code_ >= 200 && code_ != 204;  // RFC 9110 §8.6
  if (content_length_.has_value() && length_allowed) {
    text_.put("Content-Length: ");
    text_.put_number(*content_length_);
    text_.put("\r\n");
  } else if (framing == Framing::Chunked) {
    text_.put("Transfer-Encoding: chunked\r\n");
  }
  if (!keep_alive) {
    text_.put("Connection: close\r\n");
  } else if (http_1_0) {
    text_.put("Connection: keep-alive\r\n");
  }
  text_.put("\r\n");
  return text_;
}

ByteBuffer& ResponseHead::finish_interim() {
  text_.append("\r\n");
  return text_;
}

bool is_status(std::string_view status) {
  auto digit = [&](std::size_t at) { return status[at] >= '0' && status[at] <= '9'; };
  return status.size() >= 4 && status[0] >= '1' && status[0] <= '5' && digit(1) && digit(2) &&
         status[3] == ' ';
}

std::string_view reason_phrase(int status) {
  switch (status) {
    case 400:
      return "Bad Request";
    case 408:
      return "Request Timeout";
    case 413:
      return "Content Too Large";
    case 414:
      return "URI Too Long";
    case 417:
      return "Expectation Failed";
    case 426:
      return "Upgrade Required";
    case 431:
      return "Request Header Fields Too Large";
    case 501:
      return "Not Implemented";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    case 505:
      return "HTTP Version Not Supported";
    default:
      return "Internal Server Error";
  }
}

std::string error_answer(int status, std::string_view detail, std::string_view date,
                         bool with_body) {
  std::string number = std::to_string(status);
  std::string reason(reason_phrase(status));
  std::string body = number + " " + (detail.empty() ? reason : std::string(detail)) + "\n";
  std::string answer = "HTTP/1.1 " + number + " " + reason + "\r\nServer: appd\r\n";
  answer.append(date);
  if (status == 426) answer += "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n";
  answer +=
      "Content-Type: text/plain; charset=utf-8\r\nContent-Length: " + std::to_string(body.size()) +
      (status == 426 ? "\r\nConnection: close, upgrade\r\n\r\n" : "\r\nConnection: close\r\n\r\n");
  if (with_body) answer += body;
  return answer;
}

}  // namespace appd::http
