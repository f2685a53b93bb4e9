// Parsing of addresses, and their conversion to what the kernel takes.
#include "supervisor/model/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <charconv>
#include <cstddef>
#include <cstring>
#include <optional>

#include "supervisor/model/text.h"

namespace appd::model {
namespace {

constexpr std::string_view kForms =
    "write \"HOST:PORT\" with a numeric IPv4 address (0.0.0.0 for all), \"[IPV6]:PORT\", or "
    "\"unix:/absolute/path\"";

Error refused(const std::string& rule, std::string_view given, std::string_view advice) {
  return Error{ErrorCode::InvalidArgument, "SPEC_INVALID",
               rule + ", but got " + in_quotes(given) + ": " + std::string(advice)};
}

std::optional<std::uint16_t> parse_port(std::string_view text) {
  std::uint32_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  if (text.front() == '0' || port > 65535) return std::nullopt;
  return static_cast<std::uint16_t>(port);
}

// The canonical form of a numeric host, so that equal places compare equal.
std::optional<std::string> canonical_host(int family, const std::string& host) {
  unsigned char bytes[sizeof(in6_addr)];
  if (::inet_pton(family, host.c_str(), bytes) != 1) return std::nullopt;
  char text[INET6_ADDRSTRLEN];
  if (::inet_ntop(family, bytes, text, sizeof(text)) == nullptr) return std::nullopt;
  return std::string(text);
}

Result<Address> parse_unix(std::string_view text) {
  const std::string_view path = text.substr(std::string_view("unix:").size());
  if (path.empty() || path.front() != '/' || path.back() == '/') {
    return refused("the path of a unix socket must be absolute and name a file", text,
                   "write \"unix:/absolute/path\"");
  }
  if (has_control_character(path)) {
    return refused("the path of a unix socket must not contain control characters", text,
                   "choose another path");
  }
  if (path.size() > kMaxUnixPath) {
    return refused("the path of a unix socket must be at most " + std::to_string(kMaxUnixPath) +
                       " bytes long and has " + std::to_string(path.size()),
                   text, "choose a shorter path");
  }
  return Address{AddressFamily::Unix, {}, 0, std::string(path)};
}

}  // namespace

Result<Address> parse_address(std::string_view text) {
  if (text.starts_with("unix:")) return parse_unix(text);
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || colon == 0) {
    return refused("an address needs a host and a port", text, kForms);
  }
  std::string_view host = text.substr(0, colon);
  const std::string_view port_text = text.substr(colon + 1);
  const auto port = parse_port(port_text);
  if (!port) {
    return refused("the port must be a number from 1 to 65535", text,
                   "choose a port in that range");
  }
  const bool brackets = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (brackets) {
    const auto canonical = canonical_host(AF_INET6, std::string(host.substr(1, host.size() - 2)));
    if (!canonical) return refused("the host in brackets must be an IPv6 address", text, kForms);
    return Address{AddressFamily::Ipv6, *canonical, *port, {}};
  }
  if (host == "localhost") host = "127.0.0.1";
  const auto canonical = canonical_host(AF_INET, std::string(host));
  if (!canonical) return refused("the host must be numeric", text, kForms);
  return Address{AddressFamily::Ipv4, *canonical, *port, {}};
}

bool is_network(std::string_view text) {
  const std::size_t slash = text.find('/');
  const std::string host(text.substr(0, slash));
  const bool ipv4 = canonical_host(AF_INET, host).has_value();
  if (!ipv4 && !canonical_host(AF_INET6, host)) return false;
  if (slash == std::string_view::npos) return true;
  const std::string_view length = text.substr(slash + 1);
  unsigned bits = 0;
  const auto [end, error] = std::from_chars(length.data(), length.data() + length.size(), bits);
  return error == std::errc{} && end == length.data() + length.size() && bits <= (ipv4 ? 32 : 128);
}

std::string to_string(const Address& address) {
  switch (address.family) {
    case AddressFamily::Ipv4:
      return address.host + ":" + std::to_string(address.port);
    case AddressFamily::Ipv6:
      return "[" + address.host + "]:" + std::to_string(address.port);
    case AddressFamily::Unix:
      return "unix:" + address.path;
  }
  return {};
}

SocketAddress to_socket_address(const Address& address) {
  SocketAddress out;
  switch (address.family) {
    case AddressFamily::Ipv4: {
      sockaddr_in in{};
      in.sin_family = AF_INET;
      in.sin_port = htons(address.port);
      APPD_CHECK(::inet_pton(AF_INET, address.host.c_str(), &in.sin_addr) == 1);
      std::memcpy(&out.storage, &in, sizeof(in));
      out.length = sizeof(in);
      break;
    }
    case AddressFamily::Ipv6: {
      sockaddr_in6 in{};
      in.sin6_family = AF_INET6;
      in.sin6_port = htons(address.port);
      APPD_CHECK(::inet_pton(AF_INET6, address.host.c_str(), &in.sin6_addr) == 1);
      std::memcpy(&out.storage, &in, sizeof(in));
      out.length = sizeof(in);
      break;
    }
    case AddressFamily::Unix: {
      sockaddr_un un{};
      un.sun_family = AF_UNIX;
      APPD_CHECK(address.path.size() <= kMaxUnixPath);
      std::memcpy(un.sun_path, address.path.data(), address.path.size());
      std::memcpy(&out.storage, &un, sizeof(un));
      out.length =
          static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + address.path.size() + 1);
      break;
    }
  }
  return out;
}

std::string describe_peer(const sockaddr_storage& peer) {
  char text[INET6_ADDRSTRLEN] = {};
  if (peer.ss_family == AF_INET) {
    sockaddr_in in{};
    std::memcpy(&in, &peer, sizeof(in));
    ::inet_ntop(AF_INET, &in.sin_addr, text, sizeof(text));
    return std::string(text) + ":" + std::to_string(ntohs(in.sin_port));
  }
  if (peer.ss_family != AF_INET6) return "";
  sockaddr_in6 in{};
  std::memcpy(&in, &peer, sizeof(in));
  ::inet_ntop(AF_INET6, &in.sin6_addr, text, sizeof(text));
  std::string host = text;
  if (in.sin6_scope_id != 0) host += "%" + std::to_string(in.sin6_scope_id);
  return "[" + host + "]:" + std::to_string(ntohs(in.sin6_port));
}

}  // namespace appd::model
