// The decisions about one child, and what is told of it.
#include "worker/zygote/child.h"

#include <sys/wait.h>

#include <algorithm>
#include <csignal>

namespace appd::zygote {
namespace {

using std::chrono::milliseconds;
using std::chrono::system_clock;

// How long a worker may take to write its stacks, and how often we look.
constexpr milliseconds kStacksTime{1000};
constexpr milliseconds kStacksTick{10};
// How long after its own deadline a draining worker is killed.
constexpr milliseconds kKillGrace{2000};
// A monitor looks once a second at least.
constexpr milliseconds kSilence{5000};

std::uint64_t age_ms(net::TimePoint since, net::TimePoint now) {
  auto age = std::chrono::duration_cast<milliseconds>(now - since);
  return static_cast<std::uint64_t>(std::max<std::int64_t>(age.count(), 0));
}

}  // namespace

void Child::signal(int number) const { ::kill(command ? -pid : pid, number); }

int Child::fd() const {
  if (output) return output->fd();
  return channel.open() ? channel.fd() : -1;
}

net::TimePoint Child::next_look(net::TimePoint now) const {
  net::TimePoint look = std::min({kill_at, ready_at, stopped_by});
  return stacks_by == net::kNever ? look : std::min(look, now + kStacksTick);
}

void Child::drain(const message::Settings& settings, net::TimePoint now) {
  if (kill_at != net::kNever) return;
  if (cause == message::ExitCause::Own) cause = message::ExitCause::Asked;
  ready_at = net::kNever;
  if (settings.graceful_timeout_ms != 0) {
    kill_at = now + milliseconds(settings.graceful_timeout_ms);
    if (!command) kill_at += kKillGrace;  // it has a deadline of its own
  }
  // The message cannot be overlooked, the signal is heard even in the middle of a request.
  if (channel.open()) (void)channel.send(message::Drain{worker});
  signal(command ? static_cast<int>(settings.stop_signal) : SIGTERM);
}

void Child::kill_if_late(net::TimePoint now) {
  if (kill_at > now) return;
  kill_at = net::kNever;
  if (cause == message::ExitCause::Asked) cause = message::ExitCause::GracefulTimeout;
  signal(SIGKILL);
}

// Who is stopped takes no new clients, but holds those that it has.
void Child::note_job_control(bool stopped, milliseconds limit, net::TimePoint now) {
  if (command) return;
  stopped_by = stopped && limit.count() > 0 ? now + limit : net::kNever;
}

void Child::condemn(message::ExitCause why, std::string what, net::TimePoint now) {
  if (kill_after_stacks) return;
  cause = why;
  detail = std::move(what);
  kill_after_stacks = true;
  take_stacks(now);
}

void Child::take_stacks(net::TimePoint now) {
  if (stacks_by != net::kNever) return;
  stacks_by = now + kStacksTime;
  stacks.ask(pid);
}

bool Child::stacks_taken(net::TimePoint now) {
  if (stacks_by == net::kNever || (now < stacks_by && !stacks.complete())) return false;
  stacks_by = net::kNever;
  last_stacks = stacks.read(pid);
  return true;
}

bool Child::silent(const ScoreboardSlot& slot, milliseconds limit, net::TimePoint now) {
  auto since = [&](const std::atomic<std::uint64_t>& figure) {
    auto then = static_cast<std::int64_t>(figure.load(std::memory_order_relaxed));
    return now.time_since_epoch() - net::Nanoseconds(then);
  };
  bool busy = slot.started_ns.load(std::memory_order_relaxed) != 0;
  return limit.count() > 0 && busy && since(slot.started_ns) > limit + kSilence &&
         since(slot.beat_ns) > kSilence;
}

message::Forked Child::forked_message(net::TimePoint now) const {
  return {worker, pid, cause == message::ExitCause::Asked, age_ms(forked, now)};
}

message::Ready Child::ready_message(net::TimePoint now, const std::string& worker_class) const {
  return {worker, settings_revision, worker_class, age_ms(ready, now)};
}

bool Child::killed_by_others(int wait_status) const {
  return WIFSIGNALED(wait_status) && WTERMSIG(wait_status) == SIGKILL &&
         cause == message::ExitCause::Own;
}

void Child::settle_cause(int wait_status, std::string oom) {
  if (!oom.empty()) {
    cause = message::ExitCause::OutOfMemory;
    detail = std::move(oom);
  }
  bool says_cut = WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == kExitCut && !command;
  if (says_cut && cause == message::ExitCause::Asked) cause = message::ExitCause::GracefulTimeout;
}

message::Exited Child::exited_message(net::TimePoint now, int wait_status) const {
  auto wall = std::chrono::duration_cast<milliseconds>(system_clock::now().time_since_epoch());
  auto at = [&](net::TimePoint then) {
    return wall.count() - static_cast<std::int64_t>(age_ms(then, now));
  };
  message::Exited exited{worker, pid, wait_status, cause, detail};
  exited.start_time = at(forked);
  if (ready != net::kNever) exited.ready_time = at(ready);
  exited.end_time = wall.count();
  // Those that were taken for somebody to look at say nothing of the end.
  if (kill_after_stacks) exited.stacks = last_stacks;
  return exited;
}

milliseconds stuck_limit(const message::Settings& settings) {
  std::uint32_t limit = settings.timeout_ms;
  std::uint32_t request = settings.request_timeout_ms;
  if (request != 0) limit = limit == 0 ? request : std::min(limit, request);
  return milliseconds(limit);
}

}  // namespace appd::zygote
