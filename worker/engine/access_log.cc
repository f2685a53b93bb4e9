// The format as a list of pieces, and what each piece says of a request.
#include "worker/engine/access_log.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <ctime>

#include "worker/http/charset.h"
#include "worker/http/percent.h"
#include "worker/http/trace_context.h"

namespace appd::engine {
namespace {

constexpr char kHex[] = "0123456789abcdef";

std::string_view field_of(const http::RequestHead& head, std::string_view lowered) {
  for (const http::Field& field : head.fields) {
    if (http::equals_ignoring_case(field.name, lowered)) return field.value;
  }
  return {};
}

std::string_view protocol_of(const http::RequestHead& head) {
  if (head.method.empty()) return {};
  return head.http_1_0 ? "HTTP/1.0" : "HTTP/1.1";
}

std::string lowered(std::string_view text) {
  std::string result(text);
  for (char& c : result) c = http::lower(c);
  return result;
}

int sextet(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  if (c == '+') return 62;
  return c == '/' ? 63 : -1;
}

// The user-id of Basic credentials (RFC 7617 §2); empty when there is none.
std::string user_of(const http::RequestHead& head) {
  std::string_view credentials = field_of(head, "authorization");
  if (!http::equals_ignoring_case(credentials.substr(0, 5), "basic")) return {};
  std::string decoded;
  unsigned bits = 0;
  int count = 0;
  for (char c : http::trim(credentials.substr(5))) {
    int value = sextet(c);
    if (value < 0) break;
    bits = bits << 6 | static_cast<unsigned>(value);
    count += 6;
    if (count < 8) continue;
    count -= 8;
    decoded += static_cast<char>(bits >> count);
    if (decoded.back() == ':') {
      decoded.pop_back();
      return decoded;
    }
  }
  return {};
}

// A second traceparent makes both invalid.
std::string_view trace_of(const http::RequestHead& head) {
  std::string_view trace;
  bool found = false;
  for (const http::Field& field : head.fields) {
    if (!http::equals_ignoring_case(field.name, "traceparent")) continue;
    if (std::exchange(found, true)) return {};
    trace = http::trace_id_of(field.value);
  }
  return trace;
}

bool is_plain(char c) { return c >= 0x20 && c < 0x7f && c != '"' && c != '\\'; }

}  // namespace

void AccessLog::apply(const message::Settings& settings) {
  flush();
  on_ = settings.access_log;
  json_ = settings.access_log_format == "json";
  process_id_ = std::to_string(::getpid());
  time_of_ = -1;
  pieces_.clear();
  if (on_ && !json_) compile(settings.access_log_format);
}

// "%(atom)s" with any conversion, "%%", and literals.
void AccessLog::compile(std::string_view format) {
  std::string literal;
  while (!format.empty()) {
    std::size_t percent = format.find('%');
    literal.append(format.substr(0, percent));
    format.remove_prefix(std::min(percent, format.size()));
    std::size_t end = format.starts_with("%(") ? format.find(')') : std::string_view::npos;
    if (end != std::string_view::npos && end + 1 < format.size()) {
      if (!literal.empty()) pieces_.push_back({Atom::Literal, std::exchange(literal, {})});
      pieces_.push_back(piece_for(format.substr(2, end - 2)));
      format.remove_prefix(end + 2);
    } else if (!format.empty()) {
      literal += '%';
      format.remove_prefix(format.starts_with("%%") ? 2 : 1);
    }
  }
  literal += '\n';
  pieces_.push_back({Atom::Literal, std::move(literal)});
}

AccessLog::Piece AccessLog::piece_for(std::string_view atom) {
  struct Named {
    std::string_view name;
    Atom atom;
    const char* field = "";
  };
  static constexpr std::array kNamed = {
      Named{"h", Atom::RemoteAddress},  Named{"u", Atom::User},
      Named{"t", Atom::Time},           Named{"r", Atom::RequestLine},
      Named{"s", Atom::Status},         Named{"m", Atom::Method},
      Named{"U", Atom::Path},           Named{"q", Atom::Query},
      Named{"H", Atom::Protocol},       Named{"b", Atom::BodyBytesOrDash},
      Named{"B", Atom::BodyBytes},      Named{"f", Atom::RequestField, "referer"},
      Named{"T", Atom::Seconds},        Named{"a", Atom::RequestField, "user-agent"},
      Named{"D", Atom::Microseconds},   Named{"M", Atom::Milliseconds},
      Named{"p", Atom::ProcessId},      Named{"L", Atom::DecimalSeconds},
      Named{"trace_id", Atom::TraceId},
  };
  for (const Named& named : kNamed) {
    if (named.name == atom) return {named.atom, named.field};
  }
  std::size_t brace = atom.find('}');
  if (!atom.starts_with('{') || brace == std::string_view::npos) return {Atom::Nothing, {}};
  std::string name = lowered(atom.substr(1, brace - 1));
  std::string_view kind = atom.substr(brace + 1);
  if (kind == "i") return {Atom::RequestField, std::move(name)};
  if (kind == "o") return {Atom::ResponseField, std::move(name)};
  if (kind != "e" || !name.starts_with("http_")) return {Atom::Nothing, {}};
  name.erase(0, 5);
  std::replace(name.begin(), name.end(), '_', '-');
  return {Atom::RequestField, std::move(name)};
}

void AccessLog::add(const AccessEntry& entry) {
  if (json_) {
    add_json(entry);
  } else {
    for (const Piece& piece : pieces_) add_piece(piece, entry);
  }
  if (!net::access_batch().append(buffer_)) {
    flush();
    if (!net::access_batch().append(buffer_)) net::write_access_log(buffer_);
  }
  buffer_.clear();
}

void AccessLog::add_piece(const Piece& piece, const AccessEntry& entry) {
  using std::chrono::duration_cast;
  auto in = [&]<typename Unit>(Unit) { return duration_cast<Unit>(entry.took).count(); };
  const http::RequestHead& request = entry.request;
  switch (piece.atom) {
    case Atom::Literal:
      buffer_ += piece.text;
      return;
    case Atom::Nothing:
      buffer_ += '-';
      return;
    case Atom::RemoteAddress:
      return add_value(entry.origin.address);
    case Atom::User:
      return add_value(user_of(request));
    case Atom::Time:
      buffer_ += time("[%d/%b/%Y:%H:%M:%S %z]");
      return;
    case Atom::RequestLine:
      add_value(request.method);
      if (request.method.empty()) return;
      buffer_ += ' ';
      add_value(request.target);
      buffer_.append(1, ' ').append(protocol_of(request));
      return;
    case Atom::Status:
      return add_number(entry.status);
    case Atom::Method:
      return add_value(request.method);
    case Atom::Path:
      return add_value(http::percent_decoded(request.path));
    case Atom::Query:
      if (!request.query.empty()) add_value(request.query);
      return;
    case Atom::Protocol:
      return add_value(protocol_of(request));
    case Atom::BodyBytesOrDash:
      if (entry.body_bytes == 0) return add_value({});
      [[fallthrough]];
    case Atom::BodyBytes:
      return add_number(static_cast<std::int64_t>(entry.body_bytes));
    case Atom::Seconds:
      return add_number(in(std::chrono::seconds{}));
    case Atom::Microseconds:
      return add_number(in(std::chrono::microseconds{}));
    case Atom::Milliseconds:
      return add_number(in(std::chrono::milliseconds{}));
    case Atom::DecimalSeconds:
      add_number(in(std::chrono::seconds{}));
      buffer_ += '.';
      return add_padded(in(std::chrono::microseconds{}) % 1'000'000, 6);
    case Atom::ProcessId:
      buffer_.append(1, '<').append(process_id_).append(1, '>');
      return;
    case Atom::TraceId:
      return add_value(trace_of(request));
    case Atom::RequestField:
      return add_value(field_of(request, piece.text));
    case Atom::ResponseField:
      return add_value(entry.response.find(piece.text));
  }
}

// As a string of JSON when the format is that, else as text. Bytes are latin-1, as in an environ.
void AccessLog::add_value(std::string_view value) {
  if (value.empty() && !json_) {
    buffer_ += '-';
    return;
  }
  for (char c : value.substr(0, kMaxValue)) {
    auto byte = static_cast<unsigned char>(c);
    if (is_plain(c)) {
      buffer_ += c;
    } else if (c == '"' || c == '\\') {
      buffer_.append(1, '\\').append(1, c);
    } else {
      buffer_.append(json_ ? "\\u00" : "\\x").append(1, kHex[byte >> 4]).append(1, kHex[byte & 15]);
    }
  }
  if (value.size() > kMaxValue) buffer_ += "...";
}

void AccessLog::add_number(std::int64_t number) { buffer_ += std::to_string(number); }

void AccessLog::add_padded(std::int64_t number, std::size_t digits) {
  std::string text = std::to_string(number);
  buffer_.append(digits - text.size(), '0').append(text);
}

void AccessLog::add_member(std::string_view name, std::string_view value) {
  buffer_.append(",\"").append(name).append("\":");
  if (value.empty()) {
    buffer_ += "null";
    return;
  }
  buffer_ += '"';
  add_value(value);
  buffer_ += '"';
}

void AccessLog::add_json(const AccessEntry& entry) {
  const http::RequestHead& request = entry.request;
  buffer_.append("{\"time\":\"").append(time("%Y-%m-%dT%H:%M:%S%z")).append("\",\"status\":");
  add_number(entry.status);
  buffer_ += ",\"bytes\":";
  add_number(static_cast<std::int64_t>(entry.body_bytes));
  buffer_ += ",\"duration_us\":";
  add_number(std::chrono::duration_cast<std::chrono::microseconds>(entry.took).count());
  buffer_.append(",\"pid\":").append(process_id_);
  add_member("remote_addr", entry.origin.address);
  add_member("user", user_of(request));
  add_member("method", request.method);
  add_member("path", http::percent_decoded(request.path));
  add_member("query", request.query);
  add_member("protocol", protocol_of(request));
  add_member("referer", field_of(request, "referer"));
  add_member("user_agent", field_of(request, "user-agent"));
  add_member("trace_id", trace_of(request));
  buffer_ += "}\n";
}

// Local time, formatted at most once a second.
std::string_view AccessLog::time(const char* format) {
  std::time_t now = ::time(nullptr);
  if (now != time_of_) {
    std::tm local{};
    ::localtime_r(&now, &local);
    char text[64];
    time_text_.assign(text, std::strftime(text, sizeof(text), format, &local));
    time_of_ = now;
  }
  return time_text_;
}

}  // namespace appd::engine
