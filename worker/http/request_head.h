// RequestHead: one request's head as a value, and its making from bytes.
//
// llhttp splits the head into tokens; the rules on framing, Host and target that RFC 9112 leaves
// to the recipient are applied here.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "worker/http/limits.h"

namespace appd::http {

struct Field {
  std::string_view name;  // a token, in the client's case
  std::string_view value;
};

enum class BodyKind : std::uint8_t { None, Length, Chunked };

// The views look into the bytes given to parse_head(), or into `kept` after keep().
struct RequestHead {
  std::string_view raw;
  std::string_view method;
  std::string_view target;  // as sent
  std::string_view path;    // of the target, still encoded; "*" for OPTIONS *
  std::string_view query;
  std::string_view host;  // of an absolute target, else of the Host field
  bool has_host_field = false;
  bool http_1_0 = false;
  bool keep_alive = false;
  bool expects_continue = false;
  bool asks_upgrade = false;  // by Upgrade with its connection option (RFC 9110 §7.8)
  bool is_head = false;
  bool forwarded = false;  // has an X-Forwarded-For or X-Forwarded-Proto field
  BodyKind body = BodyKind::None;
  std::uint64_t content_length = 0;
  std::vector<Field> fields;
  std::string kept;

  // Copies the bytes, so that the head outlives the buffer it was parsed from.
  void keep();
};

// `bytes` is one complete head from HeadScanner. False: refused.
bool parse_head(std::string_view bytes, const Limits& limits, RequestHead& head, Refusal& refusal);

}  // namespace appd::http
