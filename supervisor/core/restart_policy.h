// RestartPolicy: how soon something that died may be started again.
#pragma once

#include <chrono>
#include <optional>

namespace appd::core {

// Doubles from kFirst to kLongest with every early death in a row; whatever had been well for
// kWell starts again at once and clears the count. Of those that came up together one death counts:
// sixteen workers that are shot at once are no crash loop. Pure: time is passed in.
class RestartPolicy {
 public:
  using Time = std::chrono::steady_clock::time_point;
  static constexpr std::chrono::milliseconds kFirst{1'000};
  static constexpr std::chrono::milliseconds kLongest{60'000};
  static constexpr std::chrono::milliseconds kWell{10'000};

  // `ready_for`: how long it had been ready; nothing if it never was. `started`: when it was begun;
  // nothing: after all that died before.
  void died(Time now, std::optional<std::chrono::milliseconds> ready_for,
            std::optional<Time> started = std::nullopt);
  void reset() { *this = {}; }
  // When the next start is due; in the past or now: at once.
  std::optional<Time> not_before() const { return not_before_; }
  bool may_start(Time now) const { return !not_before_ || now >= *not_before_; }
  int early_deaths() const { return early_deaths_; }
  // So many have died that it hardly can be an accident any more: the pause is the longest.
  bool at_longest() const { return early_deaths_ > kDoublings; }

 private:
  static constexpr int kDoublings = 6;  // until kLongest

  int early_deaths_ = 0;
  std::optional<Time> last_early_death_;
  std::optional<Time> not_before_;
};

}  // namespace appd::core
