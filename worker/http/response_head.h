// ResponseHead: the head of an answer while it is being made, and complete answers of our own.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "worker/http/byte_buffer.h"

namespace appd::http {

// How the end of the body is told to the client.
enum class Framing : std::uint8_t { NoBody, Length, Chunked, Close };

// Collects a status and header fields and writes them as HTTP/1.1. A value; reused by its lane.
class ResponseHead {
 public:
  // Begins anew. `status` is "200 OK": three digits, a space, words; see is_status().
  void start(std::string_view status);
  // Begins a 101 that changes to another protocol (RFC 9110 §15.2.2).
  void start_upgrade(std::string_view protocol);
  // The name is a token, the value of kFieldValue only. Hop-by-hop fields are left out, except
  // that `Connection: close` is remembered. False: a Content-Length that is no number or comes
  // twice.
  bool add(std::string_view name, std::string_view value);

  void clear() { code_ = 0; }
  bool started() const { return code_ != 0; }
  int code() const { return code_; }
  bool wants_close() const { return wants_close_; }
  std::optional<std::uint64_t> content_length() const { return content_length_; }
  // The value of the first field of this name, in small letters, in what was finished or is so far;
  // empty when there is none.
  std::string_view find(std::string_view lowered_name) const;
  void set_content_length(std::uint64_t length) { content_length_ = length; }

  // What the answer to this request must look like; `body_size` when it is known beforehand.
  Framing framing(bool request_is_head, bool http_1_0,
                  std::optional<std::uint64_t> body_size) const;
  // Ends the head; a small body may be appended. `date` is a whole line, "Date: …\r\n".
  ByteBuffer& finish(Framing framing, bool keep_alive, bool http_1_0, std::string_view date);
  // Ends the head of an interim answer (1xx): what was added and nothing of ours.
  ByteBuffer& finish_interim();

 private:
  ByteBuffer text_;
  int code_ = 0;
  bool wants_close_ = false;
  bool has_date_ = false;
  bool has_server_ = false;
  std::optional<std::uint64_t> content_length_;
};

// "NNN reason", NNN from 100 to 599. What characters the reason has is not looked at.
bool is_status(std::string_view status);
// The reason phrase of a status that we answer with ourselves.
std::string_view reason_phrase(int status);
// A complete small answer of text/plain that ends the connection. A 426 is about the version of
// WebSocket and names ours (RFC 6455 §4.4).
std::string error_answer(int status, std::string_view detail, std::string_view date,
                         bool with_body);

}  // namespace appd::http
