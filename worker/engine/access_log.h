// AccessLog: a line in the access log for each answered request, in a format of the user's with
// gunicorn's atoms, or as JSON.
//
// Atoms: h l u t r s m U q H b B f a T D M L p, trace_id, {name}i and {name}o for fields of request
// and answer, {HTTP_NAME}e as {name}i; all of %(atom)s, anything else is "-". What clients and apps
// choose is escaped (quotes and backslashes with a backslash, other characters than printable ASCII
// as \xNN) and cut at kMaxValue bytes, so that it can neither end a line nor a quoted value.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/messages.h"
#include "worker/engine/origin.h"
#include "worker/http/response_head.h"
#include "worker/net/clock.h"
#include "worker/net/log_output.h"

namespace appd::engine {

// One answered request. The views are borrowed for the call.
struct AccessEntry {
  const http::RequestHead& request;  // without a method: it was not understood
  const http::ResponseHead& response;
  Origin origin;
  int status = 0;
  std::uint64_t body_bytes = 0;  // sent
  net::Nanoseconds took{};       // from the whole request to the end of its answer
};

// Owned by what the connections share; under the engine's lock.
class AccessLog {
 public:
  static constexpr std::size_t kMaxValue = 4096;

  AccessLog() = default;
  AccessLog(const AccessLog&) = delete;
  AccessLog& operator=(const AccessLog&) = delete;
  ~AccessLog() { flush(); }

  void apply(const message::Settings& settings);
  bool on() const { return on_; }
  // Puts a line into the process's batch, which flush() writes, or a full one writes itself.
  void add(const AccessEntry& entry);
  void flush() { net::access_batch().flush(); }

 private:
  enum class Atom : std::uint8_t {
    Literal,
    Nothing,
    RemoteAddress,
    User,
    Time,
    RequestLine,
    Status,
    Method,
    Path,
    Query,
    Protocol,
    BodyBytes,
    BodyBytesOrDash,
    Seconds,
    Microseconds,
    Milliseconds,
    DecimalSeconds,
    ProcessId,
    TraceId,
    RequestField,
    ResponseField,
  };
  struct Piece {
    Atom atom;
    std::string text;  // of a literal; the name of a field, in small letters
  };
  static Piece piece_for(std::string_view atom);
  void compile(std::string_view format);
  void add_piece(const Piece& piece, const AccessEntry& entry);
  void add_json(const AccessEntry& entry);
  void add_value(std::string_view value);
  void add_member(std::string_view name, std::string_view value);
  void add_number(std::int64_t number);
  void add_padded(std::int64_t number, std::size_t digits);
  std::string_view time(const char* format);

  bool on_ = false;
  bool json_ = false;
  std::vector<Piece> pieces_;
  std::string buffer_;  // the line in hand
  std::string process_id_;
  std::int64_t time_of_ = -1;  // the second that time_text_ tells
  std::string time_text_;
};

}  // namespace appd::engine
