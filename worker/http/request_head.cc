// llhttp's callbacks, then the rules that make a request unambiguous.
#include "worker/http/request_head.h"

#include <llhttp.h>

#include <charconv>
#include <utility>

#include "worker/http/charset.h"

namespace appd::http {
namespace {

struct Parse {
  llhttp_t parser;
  RequestHead* head;
  bool keep_alive = false;
  bool headers_complete = false;
  bool named = false;  // a header's name has come, its value not yet
};

Parse& parse_of(llhttp_t* parser) { return *reinterpret_cast<Parse*>(parser); }

llhttp_settings_t make_callbacks() {
  llhttp_settings_t callbacks{};
  callbacks.on_url = [](llhttp_t* parser, const char* at, std::size_t length) {
    RequestHead& head = *parse_of(parser).head;
    head.target = {at, length};
    head.method = {head.raw.data(), static_cast<std::size_t>(at - head.raw.data() - 1)};
    return 0;
  };
  callbacks.on_header_field = [](llhttp_t* parser, const char* at, std::size_t length) {
    Parse& parse = parse_of(parser);
    parse.head->fields.push_back({{at, length}, {}});
    parse.named = length > 0;
    return 0;
  };
  callbacks.on_header_value = [](llhttp_t* parser, const char* at, std::size_t length) {
    Parse& parse = parse_of(parser);
    if (!std::exchange(parse.named, false)) return -1;  // llhttp takes a line that begins with ':'
    parse.head->fields.back().value = trim({at, length});
    return 0;
  };
  callbacks.on_headers_complete = [](llhttp_t* parser) {
    Parse& parse = parse_of(parser);
    parse.keep_alive = llhttp_should_keep_alive(parser) != 0;
    parse.headers_complete = true;
    return 1;  // the body is not llhttp's business
  };
  return callbacks;
}

bool refuse(Refusal& refusal, int status, std::string rule) {
  refusal = {status, std::move(rule)};
  return false;
}

constexpr const char* kRequestLine = "Request line is not 'METHOD target HTTP/1.1'";
constexpr const char* kWrongVersion = "HTTP version is neither 1.1 nor 1.0";

// "… HTTP/d.d": a version, though not one of ours.
bool names_a_version(std::string_view line) {
  std::size_t at = line.rfind(" HTTP/");
  if (at == std::string_view::npos) return false;
  std::string_view version = line.substr(at + 6);
  return version.size() >= 3 && version != "1.1" && version != "1.0" &&
         version.find_first_not_of("0123456789.") == std::string_view::npos;
}

// Nothing before the method and exactly one space on either side of the target (RFC 9112 §3);
// llhttp passes over carriage returns there, and takes more spaces.
bool is_spaced(const RequestHead& head) {
  const char* after_target = head.target.data() + head.target.size();
  return head.method.front() != '\r' && head.method.front() != '\n' && head.method.back() != ' ' &&
         after_target[1] == 'H';
}

bool refuse_as_llhttp(const Parse& parse, std::string_view bytes, Refusal& refusal) {
  if (has_control(bytes)) {
    refusal = control_character();
    return false;
  }
  std::string_view line = bytes.substr(0, bytes.find('\r'));
  switch (static_cast<llhttp_errno_t>(parse.parser.error)) {
    case HPE_INVALID_METHOD:
      return is_token(line.substr(0, line.find(' ')))
                 ? refuse(refusal, 501, "Method is not implemented")
                 : refuse(refusal, 400, "Method is not a token");
    case HPE_INVALID_URL:
      return refuse(refusal, 400, "Request target is not a valid URL");
    case HPE_INVALID_VERSION:
      return names_a_version(line) ? refuse(refusal, 505, kWrongVersion)
                                   : refuse(refusal, 400, kRequestLine);
    case HPE_INVALID_CONSTANT:
      return refuse(refusal, 400, kRequestLine);
    case HPE_INVALID_CONTENT_LENGTH:
      return refuse(refusal, 400, "Content-Length is not one decimal number");
    case HPE_UNEXPECTED_CONTENT_LENGTH:
      return refuse(refusal, 400, "Content-Length twice, or beside Transfer-Encoding");
    case HPE_INVALID_TRANSFER_ENCODING:
      return refuse(refusal, 400, "Transfer-Encoding does not end with chunked");
    case HPE_INVALID_HEADER_TOKEN:
    case HPE_USER:
      return refuse(refusal, 400, "Header field is malformed");
    default:
      return refuse(refusal, 400, "Request's head is malformed");
  }
}

// uri-host [ ":" port ] (RFC 9110 §7.2)
bool valid_host(std::string_view host) {
  const char* at = host.data();
  const char* end = at + host.size();
  auto is_host = [](char c) { return (kCharClasses[static_cast<unsigned char>(c)] & kHost) != 0; };
  if (host.starts_with('[')) {
    ++at;
    while (at < end && (is_host(*at) || *at == ':')) ++at;
    if (end - at < 1 || *at != ']' || at - host.data() < 3) return false;
    ++at;
  } else {
    while (at < end && is_host(*at)) ++at;
    if (at == host.data()) return false;
  }
  if (at == end) return true;
  if (*at != ':' || end - at > 6) return false;
  while (++at < end) {
    if (*at < '0' || *at > '9') return false;
  }
  return true;
}

// RFC 9112 §3.2: origin-form, absolute-form, or "*" for OPTIONS.
bool read_target(RequestHead& head, Refusal& refusal) {
  std::string_view target = head.target;
  if (!all_in(target, kTarget)) {
    return refuse(refusal, 400, "Request target holds a character that must be percent-encoded");
  }
  if (target == "*") {
    if (head.method != "OPTIONS") return refuse(refusal, 400, "Target '*' is for OPTIONS only");
  } else if (!target.starts_with('/')) {
    std::size_t scheme = target.find("://");
    if (scheme == std::string_view::npos ||
        (!equals_ignoring_case(target.substr(0, scheme), "http") &&
         !equals_ignoring_case(target.substr(0, scheme), "https"))) {
      return refuse(refusal, 400, "Request target is neither a path nor an http URL");
    }
    target.remove_prefix(scheme + 3);
    std::size_t end = target.find_first_of("/?");
    head.host = target.substr(0, end);
    if (!valid_host(head.host)) return refuse(refusal, 400, "Request target's host is invalid");
    target = end == std::string_view::npos ? std::string_view("/") : target.substr(end);
    if (target.starts_with('?')) {
      head.path = "/";
      head.query = target.substr(1);
      return true;
    }
  }
  std::size_t mark = target.find('?');
  head.path = target.substr(0, mark);
  head.query = mark == std::string_view::npos ? std::string_view() : target.substr(mark + 1);
  return true;
}

// What the fields say about framing and authority; each may be said once.
struct Seen {
  bool host = false;
  bool content_length = false;
  bool transfer_encoding = false;
};

bool read_content_length(std::string_view value, RequestHead& head, Seen& seen, Refusal& refusal) {
  const char* end = value.data() + value.size();
  auto [at, error] = std::from_chars(value.data(), end, head.content_length);
  if (value.empty() || error != std::errc() || at != end) {
    return refuse(refusal, 400, "Content-Length is not one decimal number");
  }
  if (std::exchange(seen.content_length, true)) {
    return refuse(refusal, 400, "Content-Length twice, or beside Transfer-Encoding");
  }
  return true;
}

bool read_field(const Field& field, RequestHead& head, Seen& seen, Refusal& refusal) {
  switch (field.name.size()) {
    case 4:
      if (!equals_ignoring_case(field.name, "host")) break;
      if (std::exchange(seen.host, true)) return refuse(refusal, 400, "Host field given twice");
      if (!valid_host(field.value)) return refuse(refusal, 400, "Host field is invalid");
      if (head.host.empty()) head.host = field.value;
      break;
    case 6:
      if (!equals_ignoring_case(field.name, "expect") || head.http_1_0) break;
      if (!equals_ignoring_case(field.value, "100-continue")) {
        return refuse(refusal, 417, "Expect asks for something other than 100-continue");
      }
      head.expects_continue = true;
      break;
    case 14:
      if (!equals_ignoring_case(field.name, "content-length")) break;
      return read_content_length(field.value, head, seen, refusal);
    case 15:
      if (equals_ignoring_case(field.name, "x-forwarded-for")) head.forwarded = true;
      break;
    case 17:
      if (equals_ignoring_case(field.name, "x-forwarded-proto")) head.forwarded = true;
      if (!equals_ignoring_case(field.name, "transfer-encoding")) break;
      if (std::exchange(seen.transfer_encoding, true)) {
        return refuse(refusal, 400, "Transfer-Encoding given twice");
      }
      if (!equals_ignoring_case(field.value, "chunked")) {
        return refuse(refusal, 501, "Transfer-Encoding is not exactly chunked");
      }
      break;
    default:
      break;
  }
  return true;
}

bool read_fields(const Limits& limits, RequestHead& head, Refusal& refusal) {
  Seen seen;
  for (const Field& field : head.fields) {
    if (!read_field(field, head, seen, refusal)) return false;
  }
  if (seen.transfer_encoding) {
    if (seen.content_length) {
      return refuse(refusal, 400, "Content-Length twice, or beside Transfer-Encoding");
    }
    // RFC 9112 §6.1: such framing is faulty.
    if (head.http_1_0) return refuse(refusal, 400, "Transfer-Encoding in an HTTP/1.0 request");
    head.body = BodyKind::Chunked;
  } else if (head.content_length > 0) {
    if (limits.body != 0 && head.content_length > limits.body) {
      return refuse(
          refusal, 413,
          "Body larger than " + std::to_string(limits.body) + " bytes (limit_request_body)");
    }
    head.body = BodyKind::Length;
  }
  if (!seen.host && !head.http_1_0) return refuse(refusal, 400, "Host field is missing");
  head.has_host_field = seen.host;
  return true;
}

}  // namespace

bool parse_head(std::string_view bytes, const Limits& limits, RequestHead& head, Refusal& refusal) {
  static const llhttp_settings_t callbacks = make_callbacks();
  Parse parse;
  llhttp_init(&parse.parser, HTTP_REQUEST, &callbacks);
  parse.head = &head;
  head.raw = bytes;
  head.method = head.target = head.path = head.query = head.host = {};
  head.expects_continue = head.forwarded = false;
  head.body = BodyKind::None;
  head.content_length = 0;
  head.fields.clear();

  llhttp_errno_t error = llhttp_execute(&parse.parser, bytes.data(), bytes.size());
  // An Upgrade that nobody asked us to take is only a header field.
  if (error != HPE_OK && error != HPE_PAUSED_UPGRADE) {
    return refuse_as_llhttp(parse, bytes, refusal);
  }
  // Of HTTP/2's preface llhttp wants to see more than its head.
  if (!parse.headers_complete || parse.parser.http_major != 1) {
    return refuse(refusal, 505, kWrongVersion);
  }
  if (!is_spaced(head)) return refuse(refusal, 400, kRequestLine);
  head.http_1_0 = parse.parser.http_minor == 0;
  head.keep_alive = parse.keep_alive;
  head.asks_upgrade = parse.parser.upgrade != 0 && !head.http_1_0;
  head.is_head = parse.parser.method == HTTP_HEAD;
  if (parse.parser.method == HTTP_CONNECT) {
    return refuse(refusal, 501, "CONNECT is not implemented");
  }
  return read_target(head, refusal) && read_fields(limits, head, refusal);
}

void RequestHead::keep() {
  kept.assign(raw);
  std::ptrdiff_t shift = kept.data() - raw.data();
  const char* begin = raw.data();
  const char* end = begin + raw.size();
  auto move = [=](std::string_view& view) {
    // A literal of ours ("/") stays where it is.
    if (view.data() >= begin && view.data() <= end) view = {view.data() + shift, view.size()};
  };
  move(method);
  move(target);
  move(path);
  move(query);
  move(host);
  for (Field& field : fields) {
    move(field.name);
    move(field.value);
  }
  raw = kept;
}

}  // namespace appd::http
