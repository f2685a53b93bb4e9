// The opening of a WebSocket: from a request's head to the 101 answer (RFC 6455 §4.2, RFC 7692 §5).
#pragma once

#include <array>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "worker/http/byte_buffer.h"
#include "worker/http/permessage_deflate.h"
#include "worker/http/request_head.h"
#include "worker/http/response_head.h"

namespace appd::http {

// What the client asks for. A value; the views look where the head's do.
struct WebSocketHandshake {
  std::array<char, 28> accept{};               // of Sec-WebSocket-Accept
  std::vector<std::string_view> subprotocols;  // offered, the preferred one first; tokens
  std::optional<DeflateParameters> deflate;    // of the first offer that we can take
};

enum class UpgradeVerdict : std::uint8_t {
  None,       // an ordinary request, also when it names other protocols or is HTTP/1.0
  WebSocket,  // `handshake` is filled
  Refused,    // 400, or 426 when the version is not 13; error_answer() says which we speak
};
UpgradeVerdict read_websocket_handshake(const RequestHead& head, WebSocketHandshake& handshake,
                                        Refusal& refusal);

// Writes the 101 answer by `head` and returns its bytes. `subprotocol` is the app's choice, empty
// for none; `handshake.deflate` is confirmed as it is, reset() declines it. `fields` are the app's:
// a name is a token, a value of kFieldValue only; hop-by-hop fields and those that belong to the
// handshake are left out. `date` is a whole line.
ByteBuffer& write_websocket_answer(const WebSocketHandshake& handshake,
                                   std::string_view subprotocol, std::span<const Field> fields,
                                   std::string_view date, ResponseHead& head);

}  // namespace appd::http
