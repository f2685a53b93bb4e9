// epoll(7) with handlers and an eventfd to be woken by.
#include "supervisor/runtime/poller.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace appd::runtime {

Result<std::unique_ptr<Poller>> Poller::create() {
  UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll) return sys_error("POLLER_CREATE", "create epoll", errno);
  UniqueFd event(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!event) return sys_error("POLLER_CREATE", "create eventfd", errno);
  int event_fd = event.get();
  std::unique_ptr<Poller> poller(new Poller(std::move(epoll), std::move(event)));
  TRY(poller->add(event_fd, EPOLLIN, [event_fd](std::uint32_t) {
    eventfd_t count = 0;
    ::eventfd_read(event_fd, &count);
  }));
  return poller;
}

Result<void> Poller::add(int fd, std::uint32_t interest, Handler handler) {
  epoll_event event{};
  event.events = interest;
  event.data.fd = fd;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) < 0) {
    return sys_error("POLLER_ADD", "watch a descriptor", errno);
  }
  handlers_[fd] = std::make_shared<Handler>(std::move(handler));
  return {};
}

void Poller::change(int fd, std::uint32_t interest) {
  epoll_event event{};
  event.events = interest;
  event.data.fd = fd;
  APPD_CHECK(::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event) == 0);
}

void Poller::remove(int fd) {
  if (handlers_.erase(fd) > 0) ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
}

void Poller::wait(std::optional<Time> deadline) {
  int timeout_ms = -1;
  if (deadline) {
    auto left =
        std::chrono::ceil<std::chrono::milliseconds>(*deadline - std::chrono::steady_clock::now());
    timeout_ms = static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, 3'600'000));
  }
  std::array<epoll_event, 64> events;
  int count = ::epoll_wait(epoll_.get(), events.data(), events.size(), timeout_ms);
  for (int i = 0; i < count; ++i) {
    auto it = handlers_.find(events[i].data.fd);
    if (it == handlers_.end()) continue;  // removed by an earlier handler of this batch
    auto handler = it->second;
    (*handler)(events[i].events);
  }
}

void Poller::wake() { ::eventfd_write(event_.get(), 1); }

}  // namespace appd::runtime
