// Stats: the worker's slot on the scoreboard, written with plain relaxed stores.
#pragma once

#include <algorithm>
#include <bit>
#include <cstring>
#include <string_view>

#include "common/scoreboard.h"
#include "worker/net/clock.h"

namespace appd::engine {

// Borrows the slot. The only writer of it, under the engine's lock, so load + store is enough.
class Stats {
 public:
  explicit Stats(ScoreboardSlot& slot) : slot_(slot) {}

  void connection_opened() { add(slot_.connections, 1U); }
  void connection_closed() { add(slot_.connections, -1U); }
  void received(std::size_t bytes) { add<std::uint64_t>(counters_.bytes_in, bytes); }
  void sent(std::size_t bytes) { add<std::uint64_t>(counters_.bytes_out, bytes); }
  void set_threads(std::uint32_t threads) { set(slot_.threads, threads); }

  // The loop turns.
  void beat(net::TimePoint now) { set(slot_.beat_ns, nanoseconds(now)); }

  // A number for a request, none twice.
  std::uint32_t number() { return ++last_number_; }

  // Where the request is shown, for end(); or kNotShown. `oldest` is the start of the oldest
  // request in hand.
  std::uint8_t begin(std::uint32_t number, std::string_view method, std::string_view path,
                     net::TimePoint begun, net::TimePoint oldest) {
    add(slot_.busy, 1U);
    set(slot_.started_ns, nanoseconds(oldest));
    ++hidden_;
    return uncover(number, method, path, begun);
  }
  // A request inside the app is not shown, and there is room for it.
  bool hides_some() const { return hidden_ > 0 && free_ != 0; }
  // As begin(), of such a one.
  std::uint8_t uncover(std::uint32_t number, std::string_view method, std::string_view path,
                       net::TimePoint begun) {
    if (free_ == 0) return kNotShown;
    --hidden_;
    auto place = static_cast<std::uint8_t>(std::countr_zero(free_));
    show(place, number, method, path, begun);
    return place;
  }
  // `oldest` is the start of the oldest request that is still in hand, or the epoch.
  void end(std::uint8_t place, int status, net::Nanoseconds waited, net::Nanoseconds took,
           net::TimePoint oldest) {
    if (place == kNotShown) {
      --hidden_;
    } else {
      set<std::uint64_t>(slot_.in_hand[place].started_ns, 0);
      free_ |= 1U << place;
    }
    add(slot_.busy, -1U);
    set(slot_.started_ns, nanoseconds(oldest));
    add<std::uint64_t>(counters_.requests, 1);
    add<std::uint64_t>(counters_.answers[status < 600 ? kStatusPlaces[status] : 0], 1);
    std::uint64_t nanos = at_least_one(took);
    add<std::uint64_t>(counters_.latency_ns, nanos);
    add<std::uint64_t>(counters_.latency[bucket<std::size(Counters{}.latency)>(nanos, 1'000)], 1);
    std::size_t wait = 0;
    if (waited.count() > 0) {  // few do
      nanos = at_least_one(waited);
      add<std::uint64_t>(counters_.wait_ns, nanos);
      wait = bucket<std::size(Counters{}.waits)>(nanos, 1'000'000);
    }
    add<std::uint64_t>(counters_.waits[wait], 1);
  }
  // A request that no gateway sees.
  void refused() { add<std::uint64_t>(counters_.refused, 1); }
  // A thread with something to do had to wait for the lock so long.
  void lock_waited(net::Nanoseconds waited) {
    add<std::uint64_t>(counters_.lock_waits, 1);
    add<std::uint64_t>(counters_.lock_wait_ns, at_least_one(waited));
  }

  // A request that waits for its client, before it comes to the app (Receiving) or after (Sending).
  // Where it is shown, for end_wait(): in few places, so that slow clients hide nothing else.
  std::uint8_t begin_wait(RequestStage stage, std::uint32_t number, std::string_view method,
                          std::string_view path, net::TimePoint begun) {
    add(waiting(stage), 1U);
    std::uint32_t free = free_ & kForWaiting;
    if (free == 0) return kNotShown;
    auto place = static_cast<std::uint8_t>(std::bit_width(free) - 1);
    set(slot_.in_hand[place].stage, stage);
    show(place, number, method, path, begun);
    return place;
  }
  void end_wait(RequestStage stage, std::uint8_t place) {
    add(waiting(stage), -1U);
    if (place == kNotShown) return;
    set<std::uint64_t>(slot_.in_hand[place].started_ns, 0);
    set(slot_.in_hand[place].stage, RequestStage::InApp);
    free_ |= 1U << place;
  }

  void websocket_opened() { add(slot_.websockets, 1U); }
  void websocket_closed() { add(slot_.websockets, -1U); }

  static constexpr std::uint8_t kNotShown = 0xff;

 private:
  void show(std::uint8_t place, std::uint32_t number, std::string_view method,
            std::string_view path, net::TimePoint begun) {
    free_ &= ~(1U << place);
    RequestInHand& shown = slot_.in_hand[place];
    set(shown.number, number);
    copy(shown.method, method);
    copy(shown.path, path);
    set(shown.started_ns, nanoseconds(begun));
  }
  std::atomic<std::uint32_t>& waiting(RequestStage stage) {
    return stage == RequestStage::Receiving ? slot_.receiving : slot_.sending;
  }
  template <typename T>
  static void set(std::atomic<T>& figure, T value) {
    figure.store(value, std::memory_order_relaxed);
  }
  template <typename T>
  static void add(std::atomic<T>& figure, T value) {
    set(figure, static_cast<T>(figure.load(std::memory_order_relaxed) + value));
  }
  template <std::size_t N>
  static void copy(char (&to)[N], std::string_view text) {
    std::size_t length = std::min(text.size(), N - 1);
    std::memcpy(to, text.data(), length);
    to[length] = '\0';
  }
  static std::uint64_t nanoseconds(net::TimePoint at) {
    return static_cast<std::uint64_t>(at.time_since_epoch().count());
  }

  static std::uint64_t at_least_one(net::Nanoseconds time) {
    return static_cast<std::uint64_t>(std::max<std::int64_t>(time.count(), 1));
  }
  // The least i with nanos <= unit * 2^i, or the last one. nanos > 0
  template <std::size_t N>
  static std::size_t bucket(std::uint64_t nanos, std::uint64_t unit) {
    return std::min<std::size_t>(static_cast<std::size_t>(std::bit_width((nanos - 1) / unit)),
                                 N - 1);
  }

  static constexpr std::uint32_t kForWaiting = 0xff00;  // half of the places

  ScoreboardSlot& slot_;
  Counters& counters_ = slot_.counters;
  std::uint32_t free_ = (1U << kShownInHand) - 1;  // places of slot_.in_hand
  std::uint32_t hidden_ = 0;                       // requests inside the app without one
  std::uint32_t last_number_ = 0;
};

}  // namespace appd::engine
