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

  // `oldest` is the start of the oldest request in hand.
  void begin(net::TimePoint oldest) {
    add(slot_.busy, 1U);
    set(slot_.started_ns, nanoseconds(oldest));
  }
  // Where a request in hand is shown, for end(); kNotShown: there is no room.
  std::uint8_t show(std::string_view method, std::string_view path, std::string_view client,
                    net::TimePoint begun) {
    if (free_ == 0) return kNotShown;
    auto place = static_cast<std::uint8_t>(std::countr_zero(free_));
    free_ &= free_ - 1;
    RequestInHand& shown = slot_.in_hand[place];
    copy(shown.method, method);
    copy(shown.path, path);
    copy(shown.client, client);
    set(shown.number, ++number_);
    set(shown.started_ns, nanoseconds(begun));
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

  bool all_are_shown() const {
    return slot_.busy.load(std::memory_order_relaxed) ==
           kShownInHand - static_cast<std::uint32_t>(std::popcount(free_));
  }
  // The place of the request that has this number, if it is shown.
  std::uint8_t place_of(std::uint32_t number) const {
    for (std::uint8_t place = 0; place < kShownInHand; ++place) {
      const RequestInHand& shown = slot_.in_hand[place];
      if ((free_ & (1U << place)) == 0 && shown.number.load(std::memory_order_relaxed) == number) {
        return place;
      }
    }
    return kNotShown;
  }

  static constexpr std::uint8_t kNotShown = 0xff;

 private:
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

  ScoreboardSlot& slot_;
  std::uint32_t number_ = 0;  // of the request that was shown last
  std::uint32_t free_ = ~0U;  // places of slot_.in_hand
  static_assert(kShownInHand == 32);
};

}  // namespace appd::engine
