// From the last hop to the first, as far as the hops are trusted.
#include "worker/engine/origin.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "worker/engine/connection.h"
#include "worker/engine/shared.h"
#include "worker/http/charset.h"

namespace appd::engine {
namespace {

constexpr std::string_view kFor = "x-forwarded-for";
constexpr std::string_view kProto = "x-forwarded-proto";

struct Hop {
  std::string_view address;
  net::IpAddress parsed;
  std::uint16_t port = 0;
};

// "192.0.2.1", "192.0.2.1:80", "2001:db8::1", "[2001:db8::1]", "[2001:db8::1]:80"
std::optional<Hop> read_hop(std::string_view text) {
  Hop hop{text, {}, 0};
  std::string_view port;
  if (text.starts_with('[')) {
    std::size_t end = text.find(']');
    if (end == std::string_view::npos) return std::nullopt;
    hop.address = text.substr(1, end - 1);
    port = text.substr(end + 1);
  } else if (std::count(text.begin(), text.end(), ':') == 1) {
    hop.address = text.substr(0, text.find(':'));
    port = text.substr(hop.address.size());
  }
  if (!port.empty()) {
    auto [at, error] = std::from_chars(port.data() + 1, port.data() + port.size(), hop.port);
    if (port[0] != ':' || error != std::errc() || at != port.data() + port.size()) {
      return std::nullopt;
    }
  }
  auto parsed = net::IpAddress::parse(hop.address);
  if (!parsed) return std::nullopt;
  hop.parsed = *parsed;
  return hop;
}

// Walks one field's list from its end. False: the client is found.
bool walk(std::string_view list, const net::AddressSet& trusted, Origin& origin) {
  while (!list.empty()) {
    std::size_t comma = list.rfind(',');
    std::size_t begin = comma == std::string_view::npos ? 0 : comma + 1;
    auto hop = read_hop(http::trim(list.substr(begin)));
    if (!hop) return false;  // nobody's address: whoever has passed it on is the last to be named
    origin.address = hop->address;
    origin.port = hop->port;
    if (!trusted.contains(hop->parsed)) return false;
    list = list.substr(0, begin == 0 ? 0 : comma);
  }
  return true;
}

}  // namespace

Origin origin_of(Connection& connection, const http::RequestHead& head) {
  Origin origin{connection.peer().address, connection.peer().port, false};
  if (!head.forwarded || !connection.peer_is_trusted()) return origin;
  const net::AddressSet& trusted = connection.shared().trust.forwarders;
  bool searching = true;
  int protocols = 0;
  for (auto field = head.fields.rbegin(); field != head.fields.rend(); ++field) {
    if (searching && http::equals_ignoring_case(field->name, kFor)) {
      searching = walk(field->value, trusted, origin);
    } else if (http::equals_ignoring_case(field->name, kProto)) {
      ++protocols;
      origin.secure = http::equals_ignoring_case(field->value, "https") ||
                      http::equals_ignoring_case(field->value, "wss");
    }
  }
  if (protocols > 1) origin.secure = false;  // one of them is the client's own
  return origin;
}

}  // namespace appd::engine
