// accept4 and what its errors mean.
#include "worker/engine/acceptor.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <cerrno>

#include "worker/net/log_line.h"

namespace appd::engine {
namespace {

constexpr std::chrono::seconds kRetryAccept{1};

Peer peer_of(const sockaddr_storage& address) {
  char text[INET6_ADDRSTRLEN] = {};
  if (address.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(address);
    ::inet_ntop(AF_INET, &v4.sin_addr, text, sizeof(text));
    return {text, ntohs(v4.sin_port)};
  }
  if (address.ss_family == AF_INET6) {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address);
    ::inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof(text));
    return {text, ntohs(v6.sin6_port)};
  }
  return {};
}

// Of a TCP socket that listens; 0 of others.
int backlog_of(int socket) {
  tcp_info info{};
  socklen_t size = sizeof(info);
  if (::getsockopt(socket, IPPROTO_TCP, TCP_INFO, &info, &size) < 0) return 0;
  return static_cast<int>(info.tcpi_sacked);  // tcp_get_info() puts it there
}

}  // namespace

Peer local_name(int socket) {
  sockaddr_storage address{};
  socklen_t size = sizeof(address);
  if (::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size) < 0) return {};
  return peer_of(address);
}

Result<Acceptor> Acceptor::open(std::vector<UniqueFd> listeners, const Handover& handover,
                                int epoll, std::uint64_t first_tag) {
  Acceptor acceptor(std::move(listeners), handover, epoll, first_tag);
  for (const UniqueFd& listener : acceptor.listeners_) {
    acceptor.backlogs_.push_back(backlog_of(listener.get()));
  }
  TRY(acceptor.watch());
  return acceptor;
}

Result<void> Acceptor::watch() {
  if (handover_->valid()) TRY(watch(handover_->fd(), first_tag_));
  for (std::size_t i = 0; i < listeners_.size(); ++i) {
    TRY(watch(listeners_[i].get(), first_tag_ + 1 + i));
  }
  watched_ = true;
  return {};
}

Result<void> Acceptor::watch(int fd, std::uint64_t tag) {
  epoll_event event{};
  event.events = EPOLLIN | EPOLLEXCLUSIVE;
  event.data.u64 = tag;
  if (::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) < 0) {
    return sys_error("LISTENER_WATCH", "watch a listening socket", errno);
  }
  return {};
}

// The descriptors are shared with other processes: closing them would not take them out of epoll.
void Acceptor::unwatch() {
  if (!std::exchange(watched_, false)) return;
  if (handover_->valid()) ::epoll_ctl(epoll_, EPOLL_CTL_DEL, handover_->fd(), nullptr);
  for (const UniqueFd& listener : listeners_) {
    ::epoll_ctl(epoll_, EPOLL_CTL_DEL, listener.get(), nullptr);
  }
}

void Acceptor::note_ready(std::uint64_t tag) {
  if (tag == first_tag_) {
    given_ready_ = true;
  } else {
    ready_ = true;
    next_ = static_cast<std::size_t>(tag - first_tag_ - 1);
  }
}

std::optional<Client> Acceptor::take_given() {
  if (!std::exchange(given_ready_, false)) return std::nullopt;
  // Without a free descriptor the kernel would close what we take.
  if (!UniqueFd(::fcntl(epoll_, F_DUPFD_CLOEXEC, 0))) {
    pause(errno);
    return std::nullopt;
  }
  bool nudged = false;
  auto client = handover_->take(&nudged);
  ready_ |= nudged;
  return client;
}

std::optional<Client> Acceptor::accept() {
  for (std::size_t tried = 0; tried < listeners_.size(); ++tried) {
    std::size_t listener = next_++ % listeners_.size();
    if (auto accepted = accept_from(listener)) return accepted;
  }
  ready_ = false;
  return std::nullopt;
}

std::optional<Client> Acceptor::accept_from(std::size_t listener) {
  sockaddr_storage address{};
  for (;;) {
    socklen_t size = sizeof(address);
    int fd = ::accept4(listeners_[listener].get(), reinterpret_cast<sockaddr*>(&address), &size,
                       SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) return Client{UniqueFd(fd), peer_of(address), listener};
    if (errno == EINTR || errno == ECONNABORTED) continue;
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
      pause(errno);
    } else if (errno == EINVAL) {
      revive(listener);
    }
    return std::nullopt;
  }
}

// No descriptor is left. Siblings have to be told: only we were woken.
void Acceptor::pause(int error) {
  if (!watched_ || paused_) return;
  net::LogLine("warn", "accept_paused").add("errno", error);
  paused_ = true;
  retry_at_ = net::steady_now() + kRetryAccept;
  unwatch();
  if (handover_->valid()) handover_->nudge();
}

// The app has shut the socket down (shutdown(2) reaches through all copies of a descriptor), so
// that nobody can connect any more. A TCP socket can listen again; one of AF_UNIX is done for, and
// would wake us up for ever.
void Acceptor::revive(std::size_t listener) {
  const int socket = listeners_[listener].get();
  int listens = 0;
  socklen_t size = sizeof(listens);
  ::getsockopt(socket, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size);
  if (listens == 0 && ::listen(socket, backlogs_[listener]) == 0) {
    net::LogLine("warn", "listener_revived").add("why", "a process of the app had shut it down");
  } else if (listens != 0) {
    net::LogLine("error", "listener_lost").add("why", "a process of the app has shut it down");
    ::epoll_ctl(epoll_, EPOLL_CTL_DEL, socket, nullptr);
  }
}

void Acceptor::resume() {
  retry_at_ = net::kNever;
  if (held_back_ || !std::exchange(paused_, false)) return;
  if (watch()) return;
  paused_ = true;
  retry_at_ = net::steady_now() + kRetryAccept;
}

void Acceptor::hold_back(bool held_back) {
  held_back_ = held_back;
  if (held_back_) return unwatch();
  paused_ = true;
  resume();
}

void Acceptor::queue_up_again() {
  if (!watched_) return;
  unwatch();
  paused_ = true;
  resume();
}

void Acceptor::stop() {
  paused_ = false;
  retry_at_ = net::kNever;
  unwatch();
}

void Acceptor::close() {
  unwatch();
  ready_ = given_ready_ = false;
  listeners_.clear();
}

}  // namespace appd::engine
