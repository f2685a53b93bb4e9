// permessage-deflate: the compression of WebSocket messages (RFC 7692 §7), by zlib.
//
// What it takes of memory, measured with zlib 1.2.13: nothing until the first compressed message;
// 38 KiB for a Deflater and 11 KiB for an Inflater in use; after release() nothing for the one and
// at most 4 KiB, the client's last bytes, for the other. For 2,000 clients that is 100 MB when all
// of them are busy and 8 MB when they are idle. zlib's own choice, windows of 32 KiB and memLevel
// 8, would be 268 KiB and 40 KiB: 600 MB.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "worker/http/byte_buffer.h"

struct z_stream_s;

namespace appd::http {

// What both sides have agreed on (RFC 7692 §7.1).
struct DeflateParameters {
  // The windows that we keep, in bits: 4 KiB finds what repeats in messages of kilobytes.
  static constexpr std::uint8_t kWindowBits = 12;

  std::uint8_t server_window_bits = kWindowBits;  // 9 to 15: what we compress with
  std::uint8_t client_window_bits = kWindowBits;  // 8 to 15: what the client compresses with
  bool server_context_takeover = true;
  bool client_context_takeover = true;

  bool operator==(const DeflateParameters&) const = default;
};

// Compresses messages. Not thread-safe.
class Deflater {
 public:
  explicit Deflater(const DeflateParameters& parameters);
  ~Deflater();

  // Appends the message, compressed, as the payload of one frame. False: memory is short, or it
  // would be no smaller than it was; what `out` has got is then to be taken away again.
  bool compress(std::string_view message, ByteBuffer& out);

 private:
  struct End {
    void operator()(z_stream_s* stream) const;
  };
  bool start();

  std::unique_ptr<z_stream_s, End> stream_;
  std::uint8_t window_bits_;
  bool context_takeover_;
};

// Decompresses messages that come in pieces. Not thread-safe. A client that looks back further than
// agreed gets away with it as long as the bytes happen to be there still: zlib does not check.
class Inflater {
 public:
  enum class Verdict : std::uint8_t { Good, TooLarge, Broken, NoMemory };

  explicit Inflater(const DeflateParameters& parameters);
  ~Inflater();

  // Appends what the next bytes of the message stand for. `limit` is the size that `out` may have;
  // of a message that is larger, one byte more is made and TooLarge said. After anything but Good
  // it is of no more use.
  Verdict add(std::string_view compressed, std::uint64_t limit, ByteBuffer& out);
  // Appends what the message's end brings.
  Verdict end(std::uint64_t limit, ByteBuffer& out);
  // Gives back what is not needed until the next message. Between messages only.
  void release();

 private:
  struct End {
    void operator()(z_stream_s* stream) const;
  };
  bool start();

  std::unique_ptr<z_stream_s, End> stream_;
  std::unique_ptr<unsigned char[]> history_;  // the window's content while there is no stream
  std::uint16_t history_size_ = 0;
  std::uint8_t window_bits_;
  bool context_takeover_;
};

}  // namespace appd::http
