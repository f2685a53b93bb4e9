// Binding without a moment of wider permissions, accepting within bounds, and noticing departures.
#include "supervisor/runtime/client_gate.h"

#include <fcntl.h>
#include <pwd.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "supervisor/runtime/identity.h"

namespace appd::runtime {
namespace {

using std::chrono::steady_clock;

constexpr std::chrono::seconds kRetryAccept{1};
constexpr int kBacklog = 128;

Error refused(const std::string& message) {
  return Error{ErrorCode::FailedPrecondition, "LISTEN_FAILED", message};
}

Result<UniqueFd> stream_socket() {
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return sys_error("LISTEN_FAILED", "create socket", errno);
  return fd;
}

// Makes room at the path, unless what is there is not ours to remove.
Result<void> clear_path(const model::Address& address) {
  const std::string& path = address.path;
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) {
    if (errno == ENOENT) return {};
    return sys_error("LISTEN_FAILED", path, errno);
  }
  if (!S_ISSOCK(status.st_mode)) {
    return refused(path + ": is there and is no socket: remove it or listen elsewhere");
  }
  UniqueFd probe = TRY(stream_socket());
  const model::SocketAddress where = model::to_socket_address(address);
  // EAGAIN: somebody listens, and is busy.
  if (::connect(probe.get(), where.get(), where.length) == 0 || errno == EAGAIN) {
    return refused(path + ": another process listens there: end it or listen elsewhere");
  }
  if (errno != ECONNREFUSED && errno != ENOENT) return sys_error("LISTEN_FAILED", path, errno);
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) {
    return sys_error("LISTEN_FAILED", path + ": remove the socket that nobody listens on", errno);
  }
  return {};
}

bool is_bound_to(int fd, const std::string& path) {
  sockaddr_un name{};
  socklen_t size = sizeof(name);
  return ::getsockname(fd, reinterpret_cast<sockaddr*>(&name), &size) == 0 &&
         name.sun_family == AF_UNIX && path == name.sun_path;
}

Result<void> give(const model::Entrance& entrance) {
  auto given = give_file(entrance.path, entrance.owner, entrance.group, entrance.mode);
  if (!given) return std::move(given).error().context("listen on " + entrance.path);
  return {};
}

// Empty if the host knows no such user. On this thread a slow directory service holds up new
// clients only.
std::string user_name(uid_t uid) {
  std::array<char, 4096> buffer{};
  passwd entry{};
  passwd* found = nullptr;
  if (::getpwuid_r(uid, &entry, buffer.data(), buffer.size(), &found) != 0) return "";
  return found == nullptr ? "" : model::client_text(found->pw_name);
}

model::Caller who_is(int fd) {
  ucred peer{};
  socklen_t size = sizeof(peer);
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return {};
  return {peer.uid, peer.pid, user_name(peer.uid), ""};
}

}  // namespace

Result<ClientGate::Entrance> ClientGate::open_entrance(const std::string& text,
                                                       std::vector<UniqueFd>& inherited) {
  const model::Entrance wanted = TRY(model::parse_entrance(text));
  const model::Address address{model::AddressFamily::Unix, "", 0, wanted.path};
  struct stat status {};
  for (UniqueFd& socket : inherited) {
    if (!socket || !is_bound_to(socket.get(), wanted.path)) continue;
    if (::lstat(wanted.path.c_str(), &status) != 0) break;  // somebody has removed the file
    TRY(give(wanted));
    return Entrance{wanted.path, wanted.role, std::move(socket), status.st_ino};
  }
  TRY(clear_path(address));
  Entrance entrance{wanted.path, wanted.role, TRY(stream_socket())};
  const model::SocketAddress where = model::to_socket_address(address);
  // On Linux bind(2) gives the file the mode of the socket (less the umask), so that there is no
  // moment in which somebody else could connect.
  if (::fchmod(entrance.socket.get(), 0600) != 0 ||
      ::bind(entrance.socket.get(), where.get(), where.length) != 0) {
    return sys_error("LISTEN_FAILED", "listen on " + entrance.path, errno);
  }
  if (auto given = give(wanted); !given) {
    ::unlink(entrance.path.c_str());
    return std::move(given).error();
  }
  if (::lstat(entrance.path.c_str(), &status) != 0 ||
      ::listen(entrance.socket.get(), kBacklog) != 0) {
    return sys_error("LISTEN_FAILED", "listen on " + entrance.path, errno);
  }
  entrance.inode = status.st_ino;
  return entrance;
}

Result<std::unique_ptr<ClientGate>> ClientGate::open(const std::vector<std::string>& addresses,
                                                     std::chrono::milliseconds linger,
                                                     std::vector<UniqueFd> inherited) {
  std::unique_ptr<ClientGate> gate(new ClientGate(TRY(Poller::create()), linger));
  for (const std::string& address : addresses) {
    gate->entrances_.push_back(TRY(open_entrance(address, inherited)));
  }
  return gate;
}

ClientGate::~ClientGate() {
  for (const Entrance& entrance : entrances_) {
    struct stat status {};
    const bool ours =
        ::lstat(entrance.path.c_str(), &status) == 0 && status.st_ino == entrance.inode;
    if (ours) ::unlink(entrance.path.c_str());
  }
}

std::vector<int> ClientGate::entrances() const {
  std::vector<int> all;
  for (const Entrance& entrance : entrances_) all.push_back(entrance.socket.get());
  return all;
}

void ClientGate::listen_for_clients(bool yes) {
  for (const Entrance& entrance : entrances_) {
    poller_->change(entrance.socket.get(), yes ? std::uint32_t{EPOLLIN} : 0u);
  }
}

void ClientGate::watch(UniqueFd witness) {
  const int fd = witness.get();
  deserted_at_.reset();
  witnesses_[fd] = std::move(witness);
  // No interest in data: only the end of the peer, or of our own side, wakes this thread.
  auto added = poller_->add(fd, EPOLLRDHUP, [this, fd](std::uint32_t) {
    poller_->remove(fd);
    witnesses_.erase(fd);
    if (witnesses_.empty()) deserted_at_ = steady_clock::now() + linger_;
    if (retry_at_) retry_at_ = steady_clock::now();
  });
  if (!added) witnesses_.erase(fd);
}

void ClientGate::accept_all(const Entrance& entrance, const Handlers& handlers) {
  while (true) {
    const bool full = witnesses_.size() >= kMostClients;
    UniqueFd client(
        full ? -1
             : ::accept4(entrance.socket.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    UniqueFd witness(client ? ::fcntl(client.get(), F_DUPFD_CLOEXEC, 0) : -1);
    if (!witness) {
      if (!full && !client && (errno == EINTR || errno == ECONNABORTED)) continue;
      if (!full && !client && errno == EAGAIN) return;
      // Full, or no descriptor left. The rest waits in the backlog: a level-triggered entrance
      // would spin.
      listen_for_clients(false);
      retry_at_ = steady_clock::now() + kRetryAccept;
      if (full) retry_at_ = Poller::Time::max();  // until one goes
      return;
    }
    // Kept with it, so that there is a descriptor for it when the client speaks.
    auto kept = std::make_shared<UniqueFd>(std::move(witness));
    waiting_.hold(std::move(client), steady_clock::now(),
                  [this, kept, &entrance, &handlers](UniqueFd speaking) {
                    model::Caller who = who_is(speaking.get());
                    watch(std::move(*kept));
                    handlers.arrived(std::move(speaking), std::move(who), entrance.role);
                  });
  }
}

void ClientGate::run(const Handlers& handlers) {
  for (const Entrance& entrance : entrances_) {
    auto added = poller_->add(entrance.socket.get(), EPOLLIN, [this, &entrance, &handlers](auto) {
      accept_all(entrance, handlers);
    });
    APPD_CHECK(added.has_value());
  }
  while (!stopping_) {
    std::optional<Poller::Time> deadline = deserted_at_;
    if (retry_at_ && *retry_at_ != Poller::Time::max()) {
      deadline = std::min(deadline.value_or(*retry_at_), *retry_at_);
    }
    if (const auto silent = waiting_.expire(steady_clock::now())) {
      deadline = std::min(deadline.value_or(*silent), *silent);
    }
    poller_->wait(deadline);
    const auto now = steady_clock::now();
    if (retry_at_ && *retry_at_ <= now) {
      retry_at_.reset();
      listen_for_clients(true);
    }
    if (deserted_at_ && *deserted_at_ <= now) {
      deserted_at_.reset();
      handlers.deserted();
    }
  }
  for (const Entrance& entrance : entrances_) poller_->remove(entrance.socket.get());
}

void ClientGate::stop() {
  stopping_ = true;
  poller_->wake();
}

}  // namespace appd::runtime
