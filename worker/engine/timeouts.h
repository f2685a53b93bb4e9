// Timeouts: which connection has waited too long for what.
//
// One FIFO list for each kind of wait. All entries of a list have the same duration, so the first
// is due first, and the durations may change while connections wait: only starts are stored.
#pragma once

#include <array>
#include <cstdint>

#include "common/messages.h"
#include "worker/net/clock.h"
#include "worker/net/intrusive_list.h"

namespace appd::engine {

enum class WaitKind : std::uint8_t {
  Fresh,      // accepted, nothing received yet
  Head,       // for the rest of a request's head
  Body,       // for the next piece of a body
  KeepAlive,  // for the next request
  Send,       // for room in the socket
  Linger,     // for the client's end of the connection
  Ping,       // for the next ping to a WebSocket's client
  Pong,       // for its answer
};
inline constexpr std::size_t kWaitKinds = 8;

struct TimerTag {};

// What a connection derives from to be able to wait. Under the engine's lock.
class Waiter : public net::ListLink<TimerTag> {
 public:
  bool waiting_for(WaitKind kind) const { return linked() && kind_ == kind; }
  WaitKind wait_kind() const { return kind_; }

 private:
  friend class Timeouts;
  WaitKind kind_ = WaitKind::Fresh;
  net::TimePoint since_{};
};

// Borrows the waiters. Under the engine's lock.
class Timeouts {
 public:
  Timeouts() { durations_[static_cast<std::size_t>(WaitKind::Linger)] = kLinger; }
  void apply(const message::Settings& settings);
  // From now on idle connections wait for kDrainIdle only, silent new ones for kDrainFresh, and
  // goodbyes are short.
  void drain(net::TimePoint now);

  void arm(Waiter& waiter, WaitKind kind, net::TimePoint now);
  void disarm(Waiter& waiter) { waiter.unlink(); }

  // The next one that is due, disarmed; nullptr when none is.
  Waiter* take_due(net::TimePoint now);
  net::TimePoint earliest() const;

  static constexpr std::chrono::seconds kDrainIdle{1};
  static constexpr std::chrono::seconds kDrainFresh{3};
  static constexpr std::chrono::seconds kLinger{2};
  static constexpr std::chrono::milliseconds kDrainLinger{200};

 private:
  net::TimePoint deadline(WaitKind kind) const;  // of the kind's first

  std::array<net::IntrusiveList<Waiter, TimerTag>, kWaitKinds> lists_;
  std::array<net::Nanoseconds, kWaitKinds> durations_{};  // zero: no limit
  net::TimePoint idle_until_ = net::kNever;
  net::TimePoint fresh_until_ = net::kNever;
};

}  // namespace appd::engine
