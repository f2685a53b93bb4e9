// Buckets, filled when they are looked at.
#include "supervisor/model/rate_limit.h"

#include <algorithm>

namespace appd::model {

double RateLimit::left(const Bucket& bucket, Time now) const {
  const double passed = std::chrono::duration<double>(now - bucket.as_of).count();
  return std::min(per_second_ * kBurst, bucket.left + passed * per_second_);
}

bool RateLimit::take(const std::string& caller, Time now) {
  if (per_second_ <= 0) return true;
  if (now - swept_ > std::chrono::duration<double>(kBurst)) {
    std::erase_if(buckets_,
                  [&](const auto& b) { return left(b.second, now) >= per_second_ * kBurst; });
    swept_ = now;
  }
  Bucket& bucket = buckets_.try_emplace(caller, Bucket{per_second_ * kBurst, now}).first->second;
  bucket = {left(bucket, now), now};
  if (bucket.left < 1) return false;
  bucket.left -= 1;
  return true;
}

}  // namespace appd::model
