// The rules of how logs are rotated.
#include "supervisor/model/checker.h"

namespace appd::model {

void check_logs(Checker& check, const AppSpec& spec) {
  constexpr std::int64_t kLeastSize = std::int64_t{64} << 10;
  constexpr std::int64_t kMostSize = std::int64_t{1} << 40;
  constexpr Milliseconds kMinute{60'000};
  constexpr Milliseconds kYear{std::int64_t{366} * 24 * 60 * 60 * 1000};
  if (spec.log_max_size != 0) {
    check.range("log_max_size", spec.log_max_size, kLeastSize, kMostSize,
                "the size in bytes at which a log is rotated",
                "choose a size in that range, 0 for no limit");
  }
  const Milliseconds age = spec.log_max_age;
  if (age.count() != 0 && (age < kMinute || age > kYear)) {
    check.refuse("log_max_age", "must be from 1 minute to 366 days, but got " +
                                    std::to_string(age.count()) +
                                    " ms: choose a duration in that range, 0 for no limit");
  }
  check.range("log_keep", spec.log_keep, 0, 1000, "the number of rotated logs that are kept");
}

}  // namespace appd::model
