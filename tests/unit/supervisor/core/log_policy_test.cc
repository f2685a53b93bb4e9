// When logs are rotated, and how often they are looked at.
#include "supervisor/core/log_policy.h"

#include <gtest/gtest.h>

namespace appd::core {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::int64_t kMiB = std::int64_t{1} << 20;
const model::WallTime kNow{hours(1000)};

LogPolicy bounded() { return {64 * kMiB, milliseconds(0), 5}; }

LogLook look(std::int64_t size, std::optional<std::int64_t> before = std::nullopt,
             milliseconds since = seconds(1), model::WallTime begun = kNow) {
  return {size, begun, before, since};
}

TEST(LogPolicy, RotatesWhatIsLargeEnough) {
  EXPECT_FALSE(decide(bounded(), look(64 * kMiB - 1), kNow).rotate);
  EXPECT_TRUE(decide(bounded(), look(64 * kMiB), kNow).rotate);
}

TEST(LogPolicy, WithoutBoundsNothingIsRotated) {
  EXPECT_FALSE(decide({0, milliseconds(0), 5}, look(1 << 30, 1, seconds(1), {}), kNow).rotate);
}

TEST(LogPolicy, RotatesWhatIsOldEnoughUnlessItIsEmpty) {
  const LogPolicy daily{0, hours(24), 5};
  EXPECT_TRUE(decide(daily, look(1, 1, seconds(1), kNow - hours(24)), kNow).rotate);
  EXPECT_FALSE(decide(daily, look(0, 0, seconds(1), kNow - hours(24)), kNow).rotate);
  EXPECT_FALSE(decide(daily, look(1, 1, seconds(1), kNow - hours(23)), kNow).rotate);
}

TEST(LogPolicy, AFileThatStandsStillIsNotLookedAtAgain) {
  EXPECT_FALSE(decide(bounded(), look(kMiB, kMiB), kNow).look_again);
}

TEST(LogPolicy, AFileThatStandsStillIsLookedAtWhenItIsOld) {
  const LogDecision decision =
      decide({kMiB, hours(24), 5}, look(1, 1, seconds(1), kNow - hours(20)), kNow);
  EXPECT_EQ(decision.look_again, hours(4));
}

TEST(LogPolicy, LooksAgainBeforeAGrowingFileIsFull) {
  // 1 MiB a second and 32 MiB to go; 100 MiB a second and 10 MiB to go.
  EXPECT_EQ(decide(bounded(), look(32 * kMiB, 31 * kMiB), kNow).look_again, seconds(2));
  EXPECT_EQ(decide(bounded(), look(54 * kMiB, 44 * kMiB, milliseconds(100)), kNow).look_again,
            milliseconds(50));
}

TEST(LogPolicy, NeverSpinsAndNeverSleepsThroughAFlood) {
  EXPECT_EQ(decide(bounded(), look(64 * kMiB - 1, 0, milliseconds(1)), kNow).look_again,
            milliseconds(20));
  EXPECT_EQ(decide(bounded(), look(2, 1), kNow).look_again, seconds(2));
  EXPECT_EQ(decide(bounded(), look(kMiB), kNow).look_again, milliseconds(20)) << "unknown rate";
}

TEST(LogPolicy, AFileThatWasTruncatedIsGrowingFromThere) {
  EXPECT_TRUE(decide(bounded(), look(10, 60 * kMiB), kNow).look_again);
}

}  // namespace
}  // namespace appd::core
