// Ticks while there is something to watch, sleeps otherwise.
#include "worker/gateway/monitor.h"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <utility>

namespace appd::gateway {
namespace {

constexpr std::chrono::milliseconds kLeaderTick{1};
constexpr std::chrono::milliseconds kLongestTick{1000};
constexpr std::chrono::milliseconds kShortestTimeoutTick{10};
// So long after clients have begun to wait nobody has come back from the app: somebody is held up.
constexpr std::chrono::milliseconds kPatience{1};
// Falling asleep costs a request a system call later on, so not at every pause.
constexpr std::chrono::milliseconds kQuiet{30};

}  // namespace

void Watched::describe(std::string_view method, std::string_view path) {
  method = method.substr(0, 32);
  path = path.substr(0, sizeof(request) - 2 - method.size());
  std::memcpy(request, method.data(), method.size());
  request[method.size()] = ' ';
  std::memcpy(request + method.size() + 1, path.data(), path.size());
  request[method.size() + 1 + path.size()] = '\0';
}

Result<void> Monitor::start(int clients) {
  clients_ = clients;
  bell_ = UniqueFd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!bell_) return sys_error("MONITOR_START", "create eventfd", errno);
  // Signals are for the thread that serves.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  std::thread([this] { run(); }).detach();
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return {};
}

void Monitor::watch(Watched& watched) {
  std::lock_guard lock(mutex_);
  seen_.push_back({&watched});
}

void Monitor::set_timeout(std::chrono::milliseconds timeout, bool several_threads) {
  {
    std::lock_guard lock(mutex_);
    timeout_ = timeout;
    tick_ = timeout.count() == 0 ? kLongestTick
                                 : std::clamp(timeout / 10, kShortestTimeoutTick, kLongestTick);
    if (several_threads) tick_ = kLeaderTick;
  }
  wake();
}

void Monitor::set_drain_deadline(net::TimePoint deadline) {
  {
    std::lock_guard lock(mutex_);
    drain_deadline_ = deadline;
  }
  wake();
}

void Monitor::wake() {
  asleep_.store(false);
  std::uint64_t one = 1;
  // Full: it rings already. Not there: we have not been started.
  if (::write(bell_.get(), &one, sizeof(one)) < 0) return;
}

bool Monitor::anything_in_hand() {
  std::lock_guard lock(mutex_);
  return std::any_of(seen_.begin(), seen_.end(), [](const Seen& seen) {
    return (seen.watched->turn.load(std::memory_order_seq_cst) & 1) != 0;
  });
}

void Monitor::run() {
  net::TimePoint active = net::steady_now();
  for (;;) {
    net::TimePoint now = net::steady_now();
    Findings findings = look(now);
    std::unique_lock lock(mutex_);
    net::TimePoint drain_deadline = drain_deadline_;
    std::chrono::milliseconds tick = tick_;
    lock.unlock();
    if (now >= drain_deadline) hooks_.drain_over();
    hooks_.looked();
    report(findings, now);
    if (findings.active) active = now;
    if (now - active > kQuiet) {
      sleep(drain_deadline);
    } else {
      rest(tick, drain_deadline);
    }
  }
}

Monitor::Findings Monitor::look(net::TimePoint now) {
  std::lock_guard lock(mutex_);
  Findings findings;
  for (Seen& seen : seen_) {
    std::uint32_t turn = seen.watched->turn.load(std::memory_order_acquire);
    bool in_app = (turn & 1) != 0;
    findings.active = findings.active || in_app || turn != seen.turn;
    if (turn != seen.turn) {
      seen.turn = turn;
      seen.since = now;
      seen.reported = false;
    } else if (in_app) {
      findings.held_up = true;
      bool over = timeout_.count() > 0 && now - seen.since >= timeout_;
      if (over && !seen.reported) findings.stuck = &seen;
    }
  }
  return findings;
}

void Monitor::report(const Findings& findings, net::TimePoint now) {
  if (findings.stuck != nullptr) {
    findings.stuck->reported = true;
    hooks_.stuck(
        findings.stuck->watched->request,
        std::chrono::duration_cast<std::chrono::milliseconds>(now - findings.stuck->since));
  }
  if (findings.held_up) hooks_.held_up();
}

// A tick, or until clients have waited for as long as they should.
void Monitor::rest(std::chrono::milliseconds tick, net::TimePoint drain_deadline) {
  net::TimePoint until = std::min(drain_deadline, net::steady_now() + tick);
  if (!wait(until, true)) return;
  look(net::steady_now());
  wait(net::steady_now() + kPatience, false);
  if (look(net::steady_now()).held_up) hooks_.relieve();
}

void Monitor::sleep(net::TimePoint drain_deadline) {
  asleep_.store(true, std::memory_order_seq_cst);
  while (asleep_.load() && !anything_in_hand()) {
    wait(drain_deadline, false);
    if (net::steady_now() >= drain_deadline) break;
  }
  asleep_.store(false);
}

// Until then, or until the bell has rung, or, if wanted, clients wait. True: they do.
bool Monitor::wait(net::TimePoint until, bool for_clients) {
  std::array<pollfd, 2> polled{
      {{bell_.get(), POLLIN, 0}, {for_clients ? clients_ : -1, POLLIN, 0}}};
  int timeout = -1;
  if (until != net::kNever) {
    auto left = std::chrono::ceil<std::chrono::milliseconds>(until - net::steady_now());
    timeout = static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, 3'600'000));
  }
  if (::poll(polled.data(), polled.size(), timeout) <= 0) return false;
  std::uint64_t rung = 0;
  if (polled[0].revents != 0 && ::read(bell_.get(), &rung, sizeof(rung)) < 0) return false;
  return polled[1].revents != 0;
}

}  // namespace appd::gateway
