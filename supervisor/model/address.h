// Address: where an app (or the API) listens, parsed from its text. No socket is touched here.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "common/result.h"

namespace appd::model {

// Longest path of a unix socket: sun_path holds 108 bytes with its NUL.
inline constexpr std::size_t kMaxUnixPath = 107;

enum class AddressFamily { Ipv4, Ipv6, Unix };

// A value. host is numeric and canonical ("127.0.0.1", "::1"); equal addresses are the same place.
struct Address {
  AddressFamily family = AddressFamily::Ipv4;
  std::string host;        // Ipv4, Ipv6
  std::uint16_t port = 0;  // Ipv4, Ipv6
  std::string path;        // Unix

  bool operator==(const Address&) const = default;
};

// "HOST:PORT" (numeric IPv4, or localhost, which is 127.0.0.1), "[IPV6]:PORT",
// "unix:/absolute/path". The error (reason SPEC_INVALID) names the rule, the value, and what to
// write.
Result<Address> parse_address(std::string_view text);

// The canonical text, which parse_address() takes back.
std::string to_string(const Address& address);

// Whether it is a numeric address, "10.0.0.1" or "::1", or a network, "10.0.0.0/8" or "fd00::/8".
bool is_network(std::string_view text);

// What bind(2) and connect(2) take.
struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t length = 0;
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};
SocketAddress to_socket_address(const Address& address);

// Who is at the other end, of what accept(2) and getpeername(2) say: "10.0.0.7:53230",
// "[fe80::1%2]:53230"; empty if it is neither IPv4 nor IPv6.
std::string describe_peer(const sockaddr_storage& peer);

}  // namespace appd::model
