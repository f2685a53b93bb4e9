// bind(2), listen(2) and the care that unix socket files need.
#include "supervisor/runtime/listeners.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "supervisor/model/address.h"
#include "supervisor/model/file_mode.h"
#include "supervisor/runtime/identity.h"

namespace appd::runtime {
namespace {

using model::Address;
using model::AddressFamily;

Error bind_error(const std::string& bind, int sys_errno) {
  Error error = sys_error("BIND_FAILED", "cannot listen on " + bind, sys_errno);
  error.code = ErrorCode::FailedPrecondition;
  if (sys_errno == EADDRINUSE)
    error.message += "; another process listens there: choose another bind or stop it";
  if (sys_errno == EADDRNOTAVAIL) error.message += "; this host has no such address";
  if (sys_errno == EACCES)
    error.message += "; ports below 1024 and foreign directories need rights";
  return error;
}

// A socket file that nobody listens on any more is in the way; a live one is somebody's.
Result<void> remove_stale(const Address& address, const std::string& bind) {
  struct stat status {};
  if (::lstat(address.path.c_str(), &status) < 0) return {};
  if (!S_ISSOCK(status.st_mode)) return bind_error(bind, EADDRINUSE);
  UniqueFd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  auto where = model::to_socket_address(address);
  if (::connect(probe.get(), where.get(), where.length) == 0 || errno != ECONNREFUSED) {
    return bind_error(bind, EADDRINUSE);
  }
  ::unlink(address.path.c_str());
  return {};
}

Result<void> give(const std::string& path, const model::AppSpec& spec) {
  const auto mode = model::parse_file_mode(spec.unix_socket_mode);
  APPD_CHECK(mode.has_value());  // validate() has seen to the digits
  return give_file(path, spec.user, spec.group, *mode);
}

Result<UniqueFd> duplicate(int fd) {
  UniqueFd copy(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
  if (!copy) return sys_error("LISTENER_DUP", "duplicate a listener", errno);
  return copy;
}

}  // namespace

Result<UniqueFd> listen_on(const std::string& bind, const model::AppSpec& spec) {
  Address address = TRY(model::parse_address(bind));
  auto where = model::to_socket_address(address);
  if (address.family == AddressFamily::Unix) TRY(remove_stale(address, bind));
  UniqueFd fd(::socket(where.get()->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return bind_error(bind, errno);
  int on = 1;
  ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (address.family == AddressFamily::Ipv6) {
    ::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
  }
  // Accepted sockets inherit it: no answer waits for Nagle.
  if (address.family != AddressFamily::Unix) {
    ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  }
  if (::bind(fd.get(), where.get(), where.length) < 0) return bind_error(bind, errno);
  // Nobody can connect before listen(2), so nobody does with the mode of our umask.
  const bool is_file = address.family == AddressFamily::Unix;
  if (auto given = is_file ? give(address.path, spec) : Result<void>(); !given) {
    ::unlink(address.path.c_str());
    Error error = std::move(given).error().context("cannot listen on " + bind);
    error.code = ErrorCode::FailedPrecondition;
    error.reason = "BIND_FAILED";
    return error;
  }
  if (::listen(fd.get(), spec.backlog) < 0) {
    Error error = bind_error(bind, errno);
    if (is_file) ::unlink(address.path.c_str());
    return error;
  }
  return fd;
}

bool listens_at(int fd, const std::string& bind) {
  auto address = model::parse_address(bind);
  if (!address) return false;
  auto wanted = model::to_socket_address(*address);
  sockaddr_storage bound{};
  socklen_t length = sizeof(bound);
  int listening = 0;
  socklen_t size = sizeof(listening);
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&bound), &length) < 0 ||
      ::getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) < 0 || listening == 0) {
    return false;
  }
  if (address->family == AddressFamily::Unix) {
    return bound.ss_family == AF_UNIX &&
           std::strcmp(reinterpret_cast<const sockaddr_un*>(&bound)->sun_path,
                       address->path.c_str()) == 0;
  }
  return length == wanted.length && std::memcmp(&bound, &wanted.storage, length) == 0;
}

Result<ListenerSet> ListenerSet::open(const model::AppSpec& spec, const ListenerSet& present,
                                      std::string* refused) {
  ListenerSet set;
  for (const std::string& bind : spec.bind) {
    const Socket* shared = present.find(bind);
    auto fd = shared != nullptr ? duplicate(shared->fd.get()) : listen_on(bind, spec);
    if (!fd) {
      set.abandon(present);
      if (refused != nullptr) *refused = bind;
      Error error = std::move(fd).error();
      error.reason = "BIND_FAILED";
      return error;
    }
    // Again for a shared one: the backlog may have changed.
    if (shared != nullptr) ::listen(fd->get(), spec.backlog);
    set.sockets_.push_back({bind, *std::move(fd)});
  }
  return set;
}

Result<void> ListenerSet::set_permissions(const model::AppSpec& spec) const {
  for (const Socket& socket : sockets_) {
    auto address = model::parse_address(socket.bind);
    if (!address || address->family != AddressFamily::Unix) continue;
    TRY(give(address->path, spec));
  }
  return {};
}

ListenerSet ListenerSet::adopt(const std::vector<std::string>& binds,
                               std::vector<UniqueFd> sockets) {
  ListenerSet set;
  for (const std::string& bind : binds) {
    auto it = std::find_if(sockets.begin(), sockets.end(), [&bind](const UniqueFd& fd) {
      return fd && listens_at(fd.get(), bind);
    });
    if (it != sockets.end()) set.sockets_.push_back({bind, std::move(*it)});
  }
  return set;
}

ListenerSet ListenerSet::share(const std::vector<std::string>& binds) const {
  ListenerSet set;
  for (const std::string& bind : binds) {
    const Socket* here = find(bind);
    auto copy = here != nullptr ? duplicate(here->fd.get()) : Result<UniqueFd>(UniqueFd());
    if (copy && *copy) set.sockets_.push_back({bind, *std::move(copy)});
  }
  return set;
}

std::vector<int> ListenerSet::descriptors() const {
  std::vector<int> all;
  for (const Socket& socket : sockets_) all.push_back(socket.fd.get());
  return all;
}

std::optional<std::int32_t> ListenerSet::waiting() const {
  std::optional<std::int32_t> waiting;
  for (const Socket& socket : sockets_) {
    tcp_info info{};
    socklen_t size = sizeof(info);
    if (::getsockopt(socket.fd.get(), IPPROTO_TCP, TCP_INFO, &info, &size) != 0) continue;
    // Of a listening socket: the length of its accept queue (tcp_get_info() in the kernel).
    waiting = waiting.value_or(0) + static_cast<std::int32_t>(info.tcpi_unacked);
  }
  return waiting;
}

void ListenerSet::abandon(const ListenerSet& next) const {
  for (const Socket& socket : sockets_) {
    auto address = model::parse_address(socket.bind);
    if (address && address->family == AddressFamily::Unix && next.find(socket.bind) == nullptr) {
      ::unlink(address->path.c_str());
    }
  }
}

const ListenerSet::Socket* ListenerSet::find(const std::string& bind) const {
  auto it = std::find_if(sockets_.begin(), sockets_.end(),
                         [&bind](const Socket& socket) { return socket.bind == bind; });
  return it == sockets_.end() ? nullptr : &*it;
}

}  // namespace appd::runtime
