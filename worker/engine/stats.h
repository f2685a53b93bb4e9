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
  void received(std::size_t bytes) { add<std::uint64_t>(slot_.bytes_in, bytes); }
  void sent(std::size_t bytes) { add<std::uint64_t>(slot_.bytes_out, bytes); }
  void set_threads(std::uint32_t threads) { set(slot_.threads, threads); }

  // The loop turns.
  void beat(net::TimePoint now) { set(slot_.beat_ns, nanoseconds(now)); }

  // Where the request is shown, for end(). `oldest` is the start of the oldest request in hand.
  std::uint8_t begin(std::string_view method, std::string_view path, net::TimePoint begun,
                     net::TimePoint oldest) {
    add(slot_.busy, 1U);
    set(slot_.started_ns, nanoseconds(oldest));
    if (free_ == 0) return kNotShown;
    auto place = static_cast<std::uint8_t>(std::countr_zero(free_));
    show(place, method, path, begun);
    return place;
  }
  // `oldest` is the start of the oldest request that is still in hand, or the epoch.
  void end(std::uint8_t place, int status, net::Nanoseconds took, net::TimePoint oldest) {
    if (place != kNotShown) {
      set<std::uint64_t>(slot_.in_hand[place].started_ns, 0);
      free_ |= 1U << place;
    }
    add(slot_.busy, -1U);
    set(slot_.started_ns, nanoseconds(oldest));
    add<std::uint64_t>(slot_.requests, 1);
    if (status >= 500) add<std::uint64_t>(slot_.errors, 1);
    auto micros = static_cast<std::uint64_t>(std::max<std::int64_t>(took.count(), 0)) / 1000;
    add<std::uint64_t>(
        slot_.latency[std::min<std::size_t>(static_cast<std::size_t>(std::bit_width(micros)), 31)],
        1);
  }

  // A request that waits for its client, before it comes to the app (Receiving) or after (Sending).
  // Where it is shown, for end_wait(): in few places, so that slow clients hide nothing else.
  std::uint8_t begin_wait(RequestStage stage, std::string_view method, std::string_view path,
                          net::TimePoint begun) {
    add(waiting(stage), 1U);
    std::uint32_t free = free_ & kForWaiting;
    if (free == 0) return kNotShown;
    auto place = static_cast<std::uint8_t>(std::bit_width(free) - 1);
    set(slot_.in_hand[place].stage, stage);
    show(place, method, path, begun);
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

 private:
  void show(std::uint8_t place, std::string_view method, std::string_view path,
            net::TimePoint begun) {
    free_ &= ~(1U << place);
    RequestInHand& shown = slot_.in_hand[place];
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

  static constexpr std::uint8_t kNotShown = 0xff;
  static constexpr std::uint32_t kForWaiting = 0xf0;  // half of the places

  ScoreboardSlot& slot_;
  std::uint32_t free_ = (1U << kShownInHand) - 1;  // places of slot_.in_hand
};

}  // namespace appd::engine
