// Origin: who a request comes from, and how, as far as it is to be believed.
//
// X-Forwarded-For and X-Forwarded-Proto count only from peers that forwarded_allow_ips names. The
// client is the rightmost hop that is not one of these peers itself, so what a client writes into
// the field has no effect. RFC 7239's Forwarded is not looked at: proxies that write the X- fields
// pass a client's own Forwarded on.
#pragma once

#include <cstdint>
#include <string_view>

#include "worker/http/request_head.h"

namespace appd::engine {

class Connection;

struct Origin {
  std::string_view address;  // of the client; empty for a unix socket's
  std::uint16_t port = 0;    // 0: not known
  bool secure = false;       // https or wss
};

// The connection's peer, or who it speaks for. Good as long as the connection and the head are.
// When `head.forwarded` is not set it is the peer, always.
Origin origin_of(Connection& connection, const http::RequestHead& head);

}  // namespace appd::engine
