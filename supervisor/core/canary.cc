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

std::string latencies(const BakeFigures& figures, double part) {
  return number(figures.canary.percentile(part)) + " ms (" + number(figures.old.percentile(part)) +
         " ms)";
}

// "2.1 % of 412 requests failed (the old rollout's: 0 % of 1273 …), p50 3 ms (2 ms), p95 …"
std::string both(const BakeFigures& figures) {
  std::string out = errors_of(figures.canary);
  out += " (the old rollout's: " + errors_of(figures.old) + ")";
  if (figures.canary.requests > 0 && figures.old.requests > 0) {
    out += ", p50 " + latencies(figures, 0.5) + ", p95 " + latencies(figures, 0.95);
  }
  return out;
}

struct Count {
  double of = 0;
  double all = 0;
  double rate() const { return all == 0 ? 0 : of / all; }
};

// Whether the canary's count is higher than chance makes it if its rate is the old one's. The old
// one's is not taken for zero just because it has not happened yet, but for less than `limit` then.
bool is_no_chance(const Count& canary, const Count& old, double limit) {
  const double not_seen_yet = (old.of + 1) / (old.all + 2);
  const double rate = std::max(old.rate(), std::min(not_seen_yet, limit));
  const double above = canary.of - 0.5 - canary.all * rate;
  return above > 0 && above >= kSure * std::sqrt(canary.all * rate * (1 - rate));
}

Count errors_in(const Figures& figures) {
  return {static_cast<double>(figures.errors), static_cast<double>(figures.requests)};
}

bool fails_more(const model::AppSpec& spec, const BakeFigures& figures) {
  const double percent = figures.canary.error_percent();
  return figures.canary.requests >= kLeastForErrors && percent > spec.max_error_rate &&
         percent > figures.old.error_percent() &&
         is_no_chance(errors_in(figures.canary), errors_in(figures.old), spec.max_error_rate / 100);
}

bool is_slower(const BakeFigures& figures, double factor, double part) {
  const double bound = factor * std::max(figures.old.percentile(part), kQuickMs);
  auto slow = [bound](const Figures& each) {
    return Count{each.slower_than(bound), static_cast<double>(each.requests)};
  };
  return figures.canary.percentile(part) > bound &&
         is_no_chance(slow(figures.canary), slow(figures.old), 1 - part);
}

bool is_slower(const model::AppSpec& spec, const BakeFigures& figures) {
  if (spec.max_latency_factor <= 0 || figures.canary.requests < kLeastForLatency ||
      figures.old.requests < kLeastForLatency) {
    return false;
  }
  return is_slower(figures, spec.max_latency_factor, 0.5) ||
         is_slower(figures, spec.max_latency_factor, 0.95);
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

double Figures::slower_than(double milliseconds) const {
  const double micros = milliseconds * 1000;
  double count = 0;
  for (std::size_t i = 0; i < latency.size(); ++i) {
    const double low = i == 0 ? 0 : std::ldexp(1.0, static_cast<int>(i) - 1);
    const double high = std::ldexp(1.0, static_cast<int>(i));
    const double part = std::clamp((high - micros) / (high - low), 0.0, 1.0);
    count += part * static_cast<double>(latency[i]);
  }
  return count;
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
