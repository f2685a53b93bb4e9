// Trust: which peers may speak for others, by PROXY headers and X-Forwarded-* fields.
#pragma once

#include <cstdint>

#include "common/messages.h"
#include "worker/http/proxy_protocol.h"
#include "worker/net/address_set.h"

namespace appd::engine {

// The settings that say so, parsed once. Owned by what the connections share; under the lock.
struct Trust {
  void apply(const message::Settings& settings) {
    proxy_mode = http::proxy_mode(settings.proxy_protocol);
    proxies = net::AddressSet(settings.proxy_allow_ips);
    forwarders = net::AddressSet(settings.forwarded_allow_ips);
    ++edition;
  }

  http::ProxyMode proxy_mode = http::ProxyMode::Off;
  net::AddressSet proxies;     // whose PROXY header is read
  net::AddressSet forwarders;  // whose X-Forwarded-* fields are believed
  std::uint32_t edition = 0;   // of these settings
};

}  // namespace appd::engine
