// Canary: whether the first workers of a new rollout do worse than the old rollout beside them.
// Pure.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "supervisor/model/app_spec.h"

namespace appd::core {

// What workers have answered within a window of time.
struct Figures {
  std::uint64_t requests = 0;
  std::uint64_t errors = 0;                    // answered with 5xx
  std::array<std::uint64_t, 32> latency = {};  // [i]: in less than 2^i microseconds

  Figures& operator+=(const Figures& other);
  double error_percent() const;
  // In milliseconds; between the bounds of a bucket, as if its requests were spread evenly.
  double percentile(double part) const;
  // How many took longer than that, counted the same way.
  double slower_than(double milliseconds) const;
};

// The same window of both.
struct BakeFigures {
  Figures canary;
  Figures old;
};

// Fewer requests of the canary say nothing about its errors,
inline constexpr std::uint64_t kLeastForErrors = 20;
// fewer of either nothing about latency,
inline constexpr std::uint64_t kLeastForLatency = 100;
// and what is quicker than this is never called slow.
inline constexpr double kQuickMs = 10;
// So many standard deviations are no chance: about one in a thousand at a look.
inline constexpr double kSure = 4;

enum class CanaryVerdict { Well, Unknown, Worse };
struct CanaryJudgement {
  CanaryVerdict verdict = CanaryVerdict::Unknown;
  std::string text;  // the figures, for people
};

// Worse is: more of its requests than max_error_rate failed, and more than of the old rollout's;
// or, at the end of the bake, its median or its 95th percentile is more than max_latency_factor
// times the old one's. Either only if chance cannot make it so of what the old one shows. Unknown:
// too few requests to say.
CanaryJudgement judge(const model::AppSpec& spec, const BakeFigures& figures, bool over);

}  // namespace appd::core
