// The rules of the comparison, and its words.
#include "supervisor/core/canary.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace appd::core {
namespace {

// "12.5", "3", "0.04": as many digits as tell something.
std::string number(double value) {
  char text[32];
  const int digits = value >= 100 ? 0 : value >= 1 ? 1 : 2;
  std::snprintf(text, sizeof(text), "%.*f", digits, value);
  std::string out = text;
  if (out.find('.') != std::string::npos) {
    out.erase(out.find_last_not_of('0') + 1);
    if (out.back() == '.') out.pop_back();
  }
  return out;
}

std::string errors_of(const Figures& figures) {
  return number(figures.error_percent()) + " % of " + std::to_string(figures.requests) +
         (figures.requests == 1 ? " request failed" : " requests failed");
}

std::string latency_of(const Figures& figures) { return number(figures.percentile(0.95)) + " ms"; }

// "2.1 % of 412 requests failed (the old rollout: 0 % of 1273 …), p95 12 ms (the old rollout: 9
// ms)"
std::string both(const BakeFigures& figures) {
  std::string out = errors_of(figures.canary);
  out += " (the old rollout's: " + errors_of(figures.old) + ")";
  if (figures.canary.requests > 0 && figures.old.requests > 0) {
    out += ", p95 " + latency_of(figures.canary) + " (" + latency_of(figures.old) + ")";
  }
  return out;
}

bool fails_more(const model::AppSpec& spec, const BakeFigures& figures) {
  const double percent = figures.canary.error_percent();
  return figures.canary.requests >= kLeastForErrors && percent > spec.max_error_rate &&
         percent > figures.old.error_percent();
}

bool is_slower(const model::AppSpec& spec, const BakeFigures& figures) {
  if (spec.max_latency_factor <= 0 || figures.canary.requests < kLeastForLatency ||
      figures.old.requests < kLeastForLatency) {
    return false;
  }
  const double old = std::max(figures.old.percentile(0.95), kQuickMs);
  return figures.canary.percentile(0.95) > spec.max_latency_factor * old;
}

}  // namespace

Figures& Figures::operator+=(const Figures& other) {
  requests += other.requests;
  errors += other.errors;
  for (std::size_t i = 0; i < latency.size(); ++i) latency[i] += other.latency[i];
  return *this;
}

double Figures::error_percent() const {
  return requests == 0 ? 0 : 100.0 * static_cast<double>(errors) / static_cast<double>(requests);
}

double Figures::percentile(double part) const {
  std::uint64_t all = 0;
  for (std::uint64_t count : latency) all += count;
  if (all == 0) return 0;
  double left = part * static_cast<double>(all);
  for (std::size_t i = 0; i < latency.size(); ++i) {
    const auto count = static_cast<double>(latency[i]);
    if (count == 0 || left > count) {
      left -= count;
      continue;
    }
    const double low = i == 0 ? 0 : std::ldexp(1.0, static_cast<int>(i) - 1);
    const double high = std::ldexp(1.0, static_cast<int>(i));
    return (low + (high - low) * left / count) / 1000;
  }
  return std::ldexp(1.0, static_cast<int>(latency.size())) / 1000;
}

CanaryJudgement judge(const model::AppSpec& spec, const BakeFigures& figures, bool over) {
  if (fails_more(spec, figures)) {
    return {CanaryVerdict::Worse, "the canary does worse: " + both(figures) +
                                      "; max_error_rate is " + number(spec.max_error_rate) + " %"};
  }
  if (over && is_slower(spec, figures)) {
    return {CanaryVerdict::Worse, "the canary is slower: " + both(figures) +
                                      "; max_latency_factor is " + number(spec.max_latency_factor)};
  }
  const bool enough = figures.canary.requests >= kLeastForErrors;
  return {enough ? CanaryVerdict::Well : CanaryVerdict::Unknown, both(figures)};
}

}  // namespace appd::core
