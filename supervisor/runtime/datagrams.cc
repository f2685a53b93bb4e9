// A connected UDP socket.
#include "supervisor/runtime/datagrams.h"

#include <sys/socket.h>

#include <cerrno>
#include <string>

#include "supervisor/model/address.h"

namespace appd::runtime {

Result<Datagrams> Datagrams::open(std::string_view address) {
  const model::Address to = TRY(model::parse_address(address));
  if (to.family == model::AddressFamily::Unix) {
    return Error{ErrorCode::InvalidArgument, "SEND_FAILED",
                 std::string(address) + ": must be HOST:PORT, which is sent to by UDP", 0};
  }
  const model::SocketAddress where = model::to_socket_address(to);
  UniqueFd socket(::socket(where.get()->sa_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket || ::connect(socket.get(), where.get(), where.length) != 0) {
    return sys_error("SEND_FAILED", "send to " + std::string(address), errno);
  }
  return Datagrams(std::move(socket));
}

void Datagrams::send(std::string_view text) const {
  // An error may be the last datagram's: nobody had listened.
  if (::send(socket_.get(), text.data(), text.size(), 0) < 0 && errno == ECONNREFUSED) {
    (void)::send(socket_.get(), text.data(), text.size(), 0);
  }
}

}  // namespace appd::runtime
