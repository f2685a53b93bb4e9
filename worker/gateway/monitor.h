// Monitor: a thread that never needs the interpreter's lock and so can watch those that hold it.
//
// While requests are in hand it looks at the serving threads at every tick: one that has been in
// the app too long is reported, and the crew is told when it is held up so that a follower can
// take the lead. When clients wait meanwhile, and nobody has come back from the app for about a
// millisecond, they are to be given to somebody else. After a quiet period it sleeps until the next
// request: an idle worker does not wake up.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

#include "common/result.h"
#include "common/unique_fd.h"
#include "worker/net/clock.h"

namespace appd::gateway {

// What a serving thread shows of itself. Written by that thread, read by the monitor.
struct Watched {
  std::atomic<std::uint32_t> turn = 0;  // odd while a request is in the app
  char request[256] = {};               // "GET /path", may tear; empty when nobody needs it

  void describe(std::string_view method, std::string_view path);
};

// Owns the thread, which lives until the process ends. Other members: any thread.
class Monitor {
 public:
  // Called in the monitor's thread without its lock.
  struct Hooks {
    // Called at every look.
    std::function<void()> looked;
    // A request is over the timeout; its description, if it has one.
    std::function<void(std::string_view request, std::chrono::milliseconds after)> stuck;
    // Somebody has been in the app for a tick; called at every further tick too.
    std::function<void()> held_up;
    // The same, and clients are waiting.
    std::function<void()> relieve;
    // The drain deadline has passed.
    std::function<void()> drain_over;
  };

  explicit Monitor(Hooks hooks) : hooks_(std::move(hooks)) {}
  Monitor(const Monitor&) = delete;
  Monitor& operator=(const Monitor&) = delete;

  // `clients` is a descriptor that is readable while clients wait; it must outlive the monitor.
  Result<void> start(int clients);
  void watch(Watched& watched);
  // Signal handlers too: looks now.
  void wake();
  void set_timeout(std::chrono::milliseconds timeout, bool several_threads);
  void set_drain_deadline(net::TimePoint deadline);

  // A request enters or leaves the app, in the thread that serves it.
  void enter(Watched& watched) {
    // A full barrier: either we see that the monitor sleeps, or it sees that we are in the app.
    watched.turn.store(watched.turn.load(std::memory_order_relaxed) + 1, std::memory_order_seq_cst);
    if (asleep_.load(std::memory_order_relaxed)) wake();
  }
  // Requests stay in the app, but its event loop has turned.
  void turn(Watched& watched) {
    watched.turn.store(watched.turn.load(std::memory_order_relaxed) + 2, std::memory_order_release);
  }
  void leave(Watched& watched) {
    watched.turn.store(watched.turn.load(std::memory_order_relaxed) + 1, std::memory_order_release);
  }

 private:
  struct Seen {
    Watched* watched;
    std::uint32_t turn = 0;
    net::TimePoint since{};
    bool reported = false;
  };

  void run();
  // What one look at all threads has found.
  struct Findings {
    bool active = false;  // something is, or was since the last look, in hand
    bool held_up = false;
    Seen* stuck = nullptr;
  };
  Findings look(net::TimePoint now);
  void report(const Findings& findings, net::TimePoint now);
  bool anything_in_hand();
  void rest(std::chrono::milliseconds tick, net::TimePoint drain_deadline);
  void sleep(net::TimePoint drain_deadline);
  bool wait(net::TimePoint until, bool for_clients);

  Hooks hooks_;
  UniqueFd bell_;  // rings when something has changed
  int clients_ = -1;
  std::mutex mutex_;       // guards what follows
  std::deque<Seen> seen_;  // grows only, and does not move
  std::chrono::milliseconds timeout_{0};
  std::chrono::milliseconds tick_{1000};
  net::TimePoint drain_deadline_ = net::kNever;
  std::atomic<bool> asleep_ = false;
};

}  // namespace appd::gateway
