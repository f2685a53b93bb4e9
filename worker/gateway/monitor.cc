// Ticks while there is something to watch, sleeps otherwise.
#include "worker/gateway/monitor.h"

#include <pthread.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <utility>

namespace appd::gateway {
namespace {

constexpr std::chrono::milliseconds kLeaderTick{1};
constexpr std::chrono::milliseconds kLongestTick{1000};
constexpr std::chrono::milliseconds kShortestTimeoutTick{10};
// Falling asleep costs a request a system call later on, so not at every pause.
constexpr int kQuietTicks = 30;

}  // namespace

void Watched::describe(std::string_view method, std::string_view path) {
  method = method.substr(0, 32);
  path = path.substr(0, sizeof(request) - 2 - method.size());
  std::memcpy(request, method.data(), method.size());
  request[method.size()] = ' ';
  std::memcpy(request + method.size() + 1, path.data(), path.size());
  request[method.size() + 1 + path.size()] = '\0';
}

void Monitor::start() {
  // Signals are for the thread that serves.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  std::thread([this] { run(); }).detach();
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
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
  {
    std::lock_guard lock(mutex_);
    asleep_.store(false);
  }
  changed_.notify_one();
}

bool Monitor::anything_in_hand() const {
  return std::any_of(seen_.begin(), seen_.end(), [](const Seen& seen) {
    return (seen.watched->turn.load(std::memory_order_seq_cst) & 1) != 0;
  });
}

void Monitor::run() {
  std::unique_lock lock(mutex_);
  int quiet_ticks = 0;
  for (;;) {
    net::TimePoint now = net::steady_now();
    bool drain_over = now >= drain_deadline_;
    Findings findings = look(now);
    lock.unlock();
    if (drain_over) hooks_.drain_over();
    report(findings, now);
    lock.lock();
    quiet_ticks = findings.active ? 0 : quiet_ticks + 1;
    rest(lock, quiet_ticks > kQuietTicks || (quiet_ticks > 1 && tick_ > kLeaderTick));
  }
}

Monitor::Findings Monitor::look(net::TimePoint now) {
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
      if (over && !std::exchange(seen.reported, true)) findings.stuck = &seen;
    }
  }
  return findings;
}

void Monitor::report(const Findings& findings, net::TimePoint now) {
  if (findings.stuck != nullptr) {
    hooks_.stuck(
        findings.stuck->watched->request,
        std::chrono::duration_cast<std::chrono::milliseconds>(now - findings.stuck->since));
  }
  if (findings.held_up) hooks_.held_up();
}

void Monitor::rest(std::unique_lock<std::mutex>& lock, bool quiet) {
  if (!quiet) {
    changed_.wait_until(lock, std::min(drain_deadline_, net::steady_now() + tick_));
    return;
  }
  asleep_.store(true, std::memory_order_seq_cst);
  if (anything_in_hand()) {
    asleep_.store(false);
    return;
  }
  auto woken = [this] { return !asleep_.load(); };
  if (drain_deadline_ == net::kNever) {
    changed_.wait(lock, woken);
  } else {
    changed_.wait_until(lock, drain_deadline_, woken);
  }
  asleep_.store(false);
}

}  // namespace appd::gateway
