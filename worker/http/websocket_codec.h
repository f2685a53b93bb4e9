// WebSocketDecoder and WebSocketEncoder: one client's WebSocket after the handshake (RFC 6455 §5
// to §7, RFC 7692), bytes in, events out; messages in, bytes out. No I/O.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "worker/http/byte_buffer.h"
#include "worker/http/permessage_deflate.h"
#include "worker/http/utf8.h"

namespace appd::http {

// Why a WebSocket ends (RFC 6455 §7.4.1). Apps and clients may give others.
namespace close_code {
inline constexpr std::uint16_t kNormal = 1000;
inline constexpr std::uint16_t kProtocolError = 1002;
inline constexpr std::uint16_t kNone = 1005;  // the frame has none; never on the wire
inline constexpr std::uint16_t kBadData = 1007;
inline constexpr std::uint16_t kTooLarge = 1009;
inline constexpr std::uint16_t kInternalError = 1011;
}  // namespace close_code

// May stand in a close frame: registered and not reserved, or of libraries (3xxx) or apps (4xxx).
bool is_close_code(std::uint16_t code);

// A control frame's payload has at most so many bytes (§5.5), a close frame's reason two less.
inline constexpr std::size_t kMaxControlPayload = 125;
inline constexpr std::size_t kMaxCloseReason = kMaxControlPayload - 2;

// What the client sends. A value of 64 bytes, without memory of its own but for a message that is
// incomplete or compressed; belongs to one connection. The memory for a message is given back by
// the call of next() that follows its event, so call until NeedMore.
class WebSocketDecoder {
 public:
  enum class Event : std::uint8_t {
    NeedMore,  // all of the input is used
    Text,      // `data` is a whole message in UTF-8
    Binary,    // `data` is a whole message
    Ping,      // `data` is the payload to send back in a pong
    Pong,      // `data` is its payload
    Close,     // `code` and `data`, the reason, in UTF-8; kNone if the client gave no code
    Refused,   // `code` and `data`, words of ours: what to send in a close frame
  };
  struct Step {
    Event event;
    std::size_t used = 0;        // bytes of the input that are done with
    std::string_view data = {};  // looks into the input or the decoder; until the next call
    std::uint16_t code = 0;
  };

  explicit WebSocketDecoder(const std::optional<DeflateParameters>& deflate = {})
      : deflate_(deflate) {}

  // Takes bytes up to the next event; unmasks them where they are (§5.3). What is not used is to
  // be shown again. `max_size` is what a message may have in bytes, decompressed; 0 is no limit.
  // After Close and Refused whatever comes is used and ignored (§1.4, §7.1.7).
  Step next(std::span<char> input, std::uint64_t max_size);

  // No message is incomplete: nothing is lost for the app if the connection ends here.
  bool between_messages() const { return message_kind_ == kNoMessage; }
  // Gives back what an idle connection does not need. To be called as often as one likes.
  void release();

 private:
  enum class Phase : std::uint8_t { First, Second, Length, Key, Payload, Ended };
  struct Fault;
  static const Fault kNotUtf8;
  static const Fault kMessageTooLarge;
  static constexpr std::uint8_t kNoMessage = 0;

  const Fault* take_header(unsigned char c, std::uint64_t max_size);
  const Fault* take_first(unsigned char c);
  const Fault* take_second(unsigned char c, std::uint64_t max_size);
  const Fault* check_length(std::uint64_t max_size);
  const Fault* take_data(std::string_view piece, bool is_ascii, std::uint64_t max_size);
  const Fault* inflate(std::string_view piece, bool complete, std::uint64_t max_size);
  Step end_message(std::string_view piece, std::size_t used);
  Step end_control(std::string_view piece, std::size_t used);
  Step refuse(const Fault& fault, std::size_t used);
  void forget_delivered();

  bool is_control() const { return (first_ & 0x08) != 0; }
  bool is_last() const { return (first_ & 0x80) != 0; }

  ByteBuffer buffer_;  // of the message what came before, then of a control frame what came before
  std::unique_ptr<Inflater> inflater_;
  std::uint64_t left_ = 0;              // of the frame's payload
  std::array<unsigned char, 4> key_{};  // beginning with the byte that is next
  std::optional<DeflateParameters> deflate_;
  Phase phase_ = Phase::First;
  std::uint8_t first_ = 0;                  // the frame's first byte: FIN, RSV, opcode
  std::uint8_t length_code_ = 0;            // the frame's second byte, without MASK
  std::uint8_t header_left_ = 0;            // bytes of the length or the key
  std::uint8_t message_kind_ = kNoMessage;  // the opcode of the message that is incomplete
  bool compressed_ = false;
  Utf8Check utf8_;
  std::uint8_t control_size_ = 0;  // bytes of a control frame at the buffer's end
};
static_assert(sizeof(void*) != 8 || sizeof(WebSocketDecoder) <= 64);

// What we send. A value of 16 bytes, without memory of its own but for the compression of large
// messages; belongs to one connection. Frames are unmasked (§5.1), a message is one frame.
class WebSocketEncoder {
 public:
  enum class Kind : std::uint8_t { Text = 1, Binary = 2 };

  explicit WebSocketEncoder(const std::optional<DeflateParameters>& deflate = {})
      : deflate_(deflate) {}

  // Appends a message to `out`. Returns what is to be sent after it: nothing, or, if the payload
  // is long and goes as it is, the payload, which is not copied. Text must be UTF-8.
  [[nodiscard]] std::string_view message(Kind kind, std::string_view payload, ByteBuffer& out);

  // The payload has at most kMaxControlPayload bytes.
  static void ping(std::string_view payload, ByteBuffer& out);
  static void pong(std::string_view payload, ByteBuffer& out);
  // `code` is_close_code(), or kNone for an empty frame. A reason that is too long is cut between
  // characters.
  static void close(std::uint16_t code, std::string_view reason, ByteBuffer& out);

  // Gives back what an idle connection does not need. To be called as often as one likes.
  void release() { deflater_.reset(); }

 private:
  bool compress(Kind kind, std::string_view payload, ByteBuffer& out);

  std::unique_ptr<Deflater> deflater_;
  std::optional<DeflateParameters> deflate_;
};
static_assert(sizeof(void*) != 8 || sizeof(WebSocketEncoder) <= 16);

}  // namespace appd::http
