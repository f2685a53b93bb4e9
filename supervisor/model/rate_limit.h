// RateLimit: how many changes each caller may make.
#pragma once

#include <chrono>
#include <map>
#include <string>

namespace appd::model {

// A token bucket for each caller, full at first. Whoever has been away for long enough to have a
// full one is forgotten, so that memory is bounded by those who call now. Not thread-safe.
class RateLimit {
 public:
  using Time = std::chrono::steady_clock::time_point;
  // How many seconds' worth may come at once.
  static constexpr double kBurst = 10;

  // 0: no limit.
  explicit RateLimit(double per_second) : per_second_(per_second) {}
  // Whether the caller may make one more.
  bool take(const std::string& caller, Time now);
  std::size_t callers() const { return buckets_.size(); }

 private:
  struct Bucket {
    double left;
    Time as_of;
  };
  double left(const Bucket& bucket, Time now) const;

  double per_second_;
  std::map<std::string, Bucket> buckets_;
  Time swept_;
};

}  // namespace appd::model
