// AddressSet: whom a setting such as forwarded_allow_ips names. Looked at for each request.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace appd::net {

// An IP address in 128 bits, IPv4 as ::ffff:a.b.c.d (RFC 4291 §2.5.5.2), so that a client is the
// same on an IPv4 listener and on one of both families.
struct IpAddress {
  std::uint64_t high = 0;
  std::uint64_t low = 0;

  // Nothing for what is no address: a name, one with a port, with brackets or a zone.
  static std::optional<IpAddress> parse(std::string_view text);
};

// A value; immutable once made.
class AddressSet {
 public:
  AddressSet() = default;  // nobody
  // "*", or addresses and networks (CIDR) with commas between. What is none of them names nobody.
  explicit AddressSet(std::string_view list);

  // Peers on unix sockets, whose address is empty, are in every set but the empty one.
  bool contains(std::string_view address) const;
  bool contains(const IpAddress& address) const;

 private:
  struct Network {
    IpAddress address;
    IpAddress mask;
  };
  void add(std::string_view entry);

  bool everybody_ = false;
  std::vector<Network> networks_;
};

}  // namespace appd::net
