// What is told of a child.
#include "worker/zygote/child.h"

#include <algorithm>
#include <csignal>

namespace appd::zygote {
namespace {

using std::chrono::milliseconds;
using std::chrono::system_clock;

// How long a worker may take to write its stacks, and how often we look.
constexpr milliseconds kStacksTime{1000};
constexpr milliseconds kStacksTick{10};
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

}  // namespace appd::zygote
