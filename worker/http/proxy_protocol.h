// The PROXY protocol (HAProxy's, versions 1 and 2): a header before the first byte of a connection
// in which a load balancer says who the client is. Bytes in, verdict out; no I/O.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "worker/http/limits.h"

namespace appd::http {

// Which headers are taken. V1 and V2 want one on every connection, Auto takes either or none.
enum class ProxyMode : std::uint8_t { Off, V1, V2, Auto };

// "off", "v1", "v2", "auto"; Off for anything else.
ProxyMode proxy_mode(std::string_view name);

// What a header says of the client.
struct ProxySource {
  // Empty: nothing (UNKNOWN, LOCAL, or no TCP over IP); then the connection's own peer is the
  // client.
  std::string address;
  std::uint16_t port = 0;
};

struct ProxyStep {
  enum class Verdict : std::uint8_t {
    NeedMore,
    None,      // Auto: what comes is no PROXY header
    Complete,  // `used` bytes of it, and `source` is filled
    Refused,   // `refusal` says why
  };
  Verdict verdict;
  std::size_t used = 0;
};

// The longest header of version 2 that is taken, additional fields (TLVs) included; these are
// skipped. One of version 1 has at most 107 bytes by its definition.
inline constexpr std::size_t kMaxProxyHeader = 4096;

// `bytes` is all that has come of the connection so far. The mode is not Off. Not one byte more is
// waited for than the header has.
ProxyStep read_proxy_header(std::string_view bytes, ProxyMode mode, ProxySource& source,
                            Refusal& refusal);

}  // namespace appd::http
