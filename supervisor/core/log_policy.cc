// Size, age and rate.
#include "supervisor/core/log_policy.h"

#include <algorithm>

namespace appd::core {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kSoonest{20};
constexpr milliseconds kLatest{2'000};

// Half of the time that is left at the present rate, so that a rate that doubles is met in time.
milliseconds until_full(const LogPolicy& policy, const LogLook& look) {
  if (policy.max_size == 0) return kLatest;
  if (!look.size_before) return kSoonest;
  const std::int64_t grown = std::max<std::int64_t>(look.size - *look.size_before, 1);
  const std::int64_t left = policy.max_size - look.size;
  const double fraction = static_cast<double>(left) / static_cast<double>(grown);
  const double span = static_cast<double>(std::max<std::int64_t>(look.since_before.count(), 1));
  const double half = std::min(fraction * span / 2, static_cast<double>(kLatest.count()));
  return std::clamp(milliseconds(static_cast<std::int64_t>(half)), kSoonest, kLatest);
}

}  // namespace

LogDecision decide(const LogPolicy& policy, const LogLook& look, model::WallTime now) {
  LogDecision decision;
  const auto age = std::chrono::duration_cast<milliseconds>(now - look.begun);
  const bool large = policy.max_size > 0 && look.size >= policy.max_size;
  const bool old = policy.max_age.count() > 0 && age >= policy.max_age;
  decision.rotate = look.size > 0 && (large || old);
  if (decision.rotate) return decision;
  if (!look.size_before || look.size != *look.size_before) {
    decision.look_again = until_full(policy, look);
  }
  if (policy.max_age.count() > 0 && look.size > 0) {
    const milliseconds left = policy.max_age - age;
    decision.look_again = std::min(decision.look_again.value_or(left), left);
  }
  return decision;
}

}  // namespace appd::core
