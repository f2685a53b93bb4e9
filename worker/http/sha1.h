// SHA-1 (RFC 3174), for the WebSocket handshake alone.
//
// Not OpenSSL's: its EVP interface brings 3.4 MB of libcrypto.a and set-up at run time into every
// worker, and the functions below that are deprecated since 3.0. Nothing is protected by this
// digest, it only shows that the server has understood (RFC 6455 §10.8).
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace appd::http {

std::array<std::uint8_t, 20> sha1(std::string_view message);

}  // namespace appd::http
