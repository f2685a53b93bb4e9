// The worker's clock: steady nanoseconds for every deadline. Wall time is only for display.
#pragma once

#include <chrono>
#include <ctime>

namespace appd::net {

using Nanoseconds = std::chrono::nanoseconds;
// Since an arbitrary start; comparable within one boot (CLOCK_MONOTONIC).
using TimePoint = std::chrono::time_point<std::chrono::steady_clock, Nanoseconds>;

inline TimePoint steady_now() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return TimePoint(std::chrono::seconds(now.tv_sec) + Nanoseconds(now.tv_nsec));
}

inline constexpr TimePoint kNever = TimePoint::max();

}  // namespace appd::net
