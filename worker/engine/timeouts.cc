// Deadlines from starts and the durations of the moment.
#include "worker/engine/timeouts.h"

#include <algorithm>

namespace appd::engine {
namespace {

constexpr std::size_t index(WaitKind kind) { return static_cast<std::size_t>(kind); }

}  // namespace

void Timeouts::apply(const message::Settings& settings) {
  using std::chrono::milliseconds;
  durations_[index(WaitKind::Fresh)] = milliseconds(settings.client_header_timeout_ms);
  durations_[index(WaitKind::Head)] = milliseconds(settings.client_header_timeout_ms);
  durations_[index(WaitKind::Body)] = milliseconds(settings.client_body_timeout_ms);
  durations_[index(WaitKind::KeepAlive)] = milliseconds(settings.keepalive_ms);
  durations_[index(WaitKind::Send)] = milliseconds(settings.send_timeout_ms);
  durations_[index(WaitKind::Ping)] = milliseconds(settings.ws_ping_interval_ms);
  durations_[index(WaitKind::Pong)] = milliseconds(settings.ws_ping_timeout_ms);
}

void Timeouts::drain(net::TimePoint now) {
  durations_[index(WaitKind::Linger)] = kDrainLinger;
  idle_until_ = now + kDrainIdle;
  fresh_until_ = now + kDrainFresh;
}

void Timeouts::arm(Waiter& waiter, WaitKind kind, net::TimePoint now) {
  waiter.kind_ = kind;
  waiter.since_ = now;
  lists_[index(kind)].push_back(waiter);
}

net::TimePoint Timeouts::deadline(WaitKind kind) const {
  const Waiter* first = lists_[index(kind)].front();
  if (first == nullptr) return net::kNever;
  net::Nanoseconds duration = durations_[index(kind)];
  net::TimePoint due = duration == duration.zero() ? net::kNever : first->since_ + duration;
  if (kind == WaitKind::KeepAlive) return std::min(due, idle_until_);
  if (kind == WaitKind::Fresh) return std::min(due, fresh_until_);
  return due;
}

Waiter* Timeouts::take_due(net::TimePoint now) {
  for (std::size_t kind = 0; kind < kWaitKinds; ++kind) {
    if (deadline(static_cast<WaitKind>(kind)) <= now) return lists_[kind].pop_front();
  }
  return nullptr;
}

net::TimePoint Timeouts::earliest() const {
  net::TimePoint earliest = net::kNever;
  for (std::size_t kind = 0; kind < kWaitKinds; ++kind) {
    earliest = std::min(earliest, deadline(static_cast<WaitKind>(kind)));
  }
  return earliest;
}

}  // namespace appd::engine
