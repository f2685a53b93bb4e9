// What a WebSocketDecoder says about bytes, as text: the form in which verdicts are compared. And a
// client's frames, to make the bytes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "worker/http/permessage_deflate.h"

namespace appd::http {

struct WebSocketTrace {
  std::string events;      // "text hello; ping ; close 1000 bye; "
  std::uint16_t code = 0;  // of a refusal
  bool waiting = false;    // in the middle of a message
};

struct WebSocketSetting {
  std::uint64_t max_size = 1 << 20;
  std::optional<DeflateParameters> deflate = {};
};

// Shows the pieces to a decoder one after the other, each in memory of its own.
WebSocketTrace trace_websocket(const std::vector<std::string_view>& pieces,
                               const WebSocketSetting& setting = {});
inline WebSocketTrace trace_websocket(std::string_view bytes,
                                      const WebSocketSetting& setting = {}) {
  return trace_websocket(std::vector{bytes}, setting);
}

// The same bytes whole, cut in two at every place, and one by one. The verdict, if it is the same
// in all of them; else what was different.
WebSocketTrace trace_in_every_way(std::string_view bytes, const WebSocketSetting& setting = {});

// A frame as a client sends it. `first` is FIN, RSV and opcode.
std::string client_frame(std::uint8_t first, std::string_view payload,
                         std::string_view key = "\x37\xfa\x21\x3d");
// Its header alone, with a length of one's own.
std::string client_frame_header(std::uint8_t first, std::uint64_t length,
                                std::string_view key = "\x37\xfa\x21\x3d");

inline constexpr std::uint8_t kFinText = 0x81;
inline constexpr std::uint8_t kFinBinary = 0x82;
inline constexpr std::uint8_t kFinTextDeflated = 0xc1;
inline constexpr std::uint8_t kFinBinaryDeflated = 0xc2;
inline constexpr std::uint8_t kFinClose = 0x88;
inline constexpr std::uint8_t kFinPing = 0x89;
inline constexpr std::uint8_t kFinPong = 0x8a;
inline constexpr std::uint8_t kContinue = 0x00;
inline constexpr std::uint8_t kFinContinue = 0x80;
inline constexpr std::uint8_t kBeginText = 0x01;
inline constexpr std::uint8_t kBeginBinary = 0x02;

}  // namespace appd::http
