// Client: a connection as it comes to a worker, from an accept queue or from a sibling.
#pragma once

#include <cstdint>
#include <string>

#include "common/unique_fd.h"

namespace appd::engine {

struct Peer {
  std::string address;  // empty for unix sockets
  std::uint16_t port = 0;
};

struct Client {
  UniqueFd socket;
  Peer peer;
  std::size_t listener = 0;  // the index of what it was accepted from
  // Has no header of the PROXY protocol before it: there is none, or a sibling has read it.
  bool introduced = false;
};

}  // namespace appd::engine
