// Poller: the core thread's one place to wait.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>

#include "common/result.h"
#include "common/unique_fd.h"

namespace appd::runtime {

// An epoll set whose descriptors have handlers. Core thread only, but for wake(). Waits without a
// time limit unless a deadline is given: nothing to do means no wake-up.
class Poller {
 public:
  using Time = std::chrono::steady_clock::time_point;
  using Handler = std::function<void(std::uint32_t events)>;  // EPOLLIN, EPOLLOUT, …

  static Result<std::unique_ptr<Poller>> create();

  // The descriptor stays the caller's, who removes it before closing it.
  Result<void> add(int fd, std::uint32_t interest, Handler handler);
  void change(int fd, std::uint32_t interest);
  void remove(int fd);

  // Runs the handlers of what is ready; returns after that, at the deadline, or after wake().
  void wait(std::optional<Time> deadline);
  // Any thread: the present or next wait() returns.
  void wake();

 private:
  Poller(UniqueFd epoll, UniqueFd event) : epoll_(std::move(epoll)), event_(std::move(event)) {}
  UniqueFd epoll_;
  UniqueFd event_;
  // By descriptor; shared so that a handler may remove itself while it runs.
  std::map<int, std::shared_ptr<Handler>> handlers_;
};

}  // namespace appd::runtime
