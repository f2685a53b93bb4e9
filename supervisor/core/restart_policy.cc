// The back-off of starts.
#include "supervisor/core/restart_policy.h"

#include <algorithm>

namespace appd::core {

void RestartPolicy::died(Time now, std::optional<std::chrono::milliseconds> ready_for,
                         std::optional<Time> started) {
  if (ready_for && *ready_for >= kWell) {
    reset();
    return;
  }
  if (started && last_early_death_ && *started < *last_early_death_) return;
  last_early_death_ = now;
  ++early_deaths_;
  // One death of something that had been ready is an accident: replace it at once.
  if (ready_for && early_deaths_ == 1) {
    not_before_.reset();
    return;
  }
  int doublings = std::min(early_deaths_ - 1, kDoublings);
  not_before_ = now + std::min(kFirst * (1 << doublings), kLongest);
}

}  // namespace appd::core
