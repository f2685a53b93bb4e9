// RestartPolicy: how soon something that died may be started again.
#pragma once

#include <chrono>
#include <optional>

namespace appd::core {

// Doubles from kFirst to kLongest with every early death in a row; whatever had been well for
// kWell starts again at once and clears the count. Pure: time is passed in.
class RestartPolicy {
 public:
  using Time = std::chrono::steady_clock::time_point;
  static constexpr std::chrono::milliseconds kFirst{1'000};
  static constexpr std::chrono::milliseconds kLongest{60'000};
  static constexpr std::chrono::milliseconds kWell{10'000};

  // `ready_for`: how long it had been ready; nothing if it never was.
  void died(Time now, std::optional<std::chrono::milliseconds> ready_for);
  void reset() { *this = {}; }
  // When the next start is due; in the past or now: at once.
  std::optional<Time> not_before() const { return not_before_; }
  bool may_start(Time now) const { return !not_before_ || now >= *not_before_; }
  int early_deaths() const { return early_deaths_; }

 private:
  int early_deaths_ = 0;
  std::optional<Time> not_before_;
};

}  // namespace appd::core
