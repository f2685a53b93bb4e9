// inet_pton, masks, and one comparison for each network.
#include "worker/net/address_set.h"

#include <arpa/inet.h>
#include <endian.h>

#include <charconv>

namespace appd::net {
namespace {

constexpr std::uint64_t kMapped = 0xffff00000000;
constexpr unsigned kMappedPrefix = 96;
constexpr unsigned kBits = 128;

std::string_view trim(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

// The first `bits` of 64 are ones.
std::uint64_t ones(unsigned bits) {
  if (bits == 0) return 0;
  return bits >= 64 ? ~std::uint64_t{0} : ~std::uint64_t{0} << (64 - bits);
}

}  // namespace

std::optional<IpAddress> IpAddress::parse(std::string_view text) {
  char terminated[INET6_ADDRSTRLEN] = {};
  if (text.size() >= sizeof(terminated) || text.find('\0') != std::string_view::npos) {
    return std::nullopt;
  }
  text.copy(terminated, text.size());
  in_addr v4;
  if (::inet_pton(AF_INET, terminated, &v4) == 1) return IpAddress{0, kMapped | ntohl(v4.s_addr)};
  std::uint64_t words[2];
  if (::inet_pton(AF_INET6, terminated, words) != 1) return std::nullopt;
  return IpAddress{be64toh(words[0]), be64toh(words[1])};
}

AddressSet::AddressSet(std::string_view list) {
  while (!list.empty()) {
    std::size_t comma = list.find(',');
    add(trim(list.substr(0, comma)));
    list.remove_prefix(comma == std::string_view::npos ? list.size() : comma + 1);
  }
}

void AddressSet::add(std::string_view entry) {
  if (entry == "*") {
    everybody_ = true;
    return;
  }
  std::size_t slash = entry.find('/');
  auto address = IpAddress::parse(entry.substr(0, slash));
  if (!address) return;
  unsigned prefix = kBits;
  if (slash != std::string_view::npos) {
    const char* end = entry.data() + entry.size();
    auto [at, error] = std::from_chars(entry.data() + slash + 1, end, prefix);
    if (error != std::errc() || at != end || prefix > kBits) return;
    if (entry.find(':') == std::string_view::npos) prefix += kMappedPrefix;
    if (prefix > kBits) return;
  }
  IpAddress mask{ones(prefix), prefix > 64 ? ones(prefix - 64) : 0};
  networks_.push_back({{address->high & mask.high, address->low & mask.low}, mask});
}

bool AddressSet::contains(std::string_view address) const {
  if (everybody_ || networks_.empty()) return everybody_;
  if (address.empty()) return true;
  auto parsed = IpAddress::parse(address);
  return parsed && contains(*parsed);
}

bool AddressSet::contains(const IpAddress& address) const {
  if (everybody_) return true;
  for (const Network& network : networks_) {
    if ((address.high & network.mask.high) == network.address.high &&
        (address.low & network.mask.low) == network.address.low) {
      return true;
    }
  }
  return false;
}

}  // namespace appd::net
