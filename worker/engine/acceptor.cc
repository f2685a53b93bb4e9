// accept4 and what its errors mean.
#include "worker/engine/acceptor.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <cerrno>

#include "worker/net/log_line.h"

namespace appd::engine {
namespace {

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
  return handover_->take();
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
      if (watched_ && !paused_) {
        net::LogLine("warn", "accept_paused").add("errno", errno);
        paused_ = true;
        unwatch();
      }
    }
    return std::nullopt;
  }
}

void Acceptor::resume() {
  if (held_back_ || !std::exchange(paused_, false)) return;
  if (!watch()) paused_ = true;
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
  unwatch();
}

void Acceptor::close() {
  unwatch();
  ready_ = given_ready_ = false;
  listeners_.clear();
}

}  // namespace appd::engine
