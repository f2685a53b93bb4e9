// Buckets of callers, with a clock that is turned by hand.
#include "supervisor/model/rate_limit.h"

#include <gtest/gtest.h>

namespace appd::model {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class RateLimitTest : public testing::Test {
 protected:
  // How many of so many in a row are taken.
  int taken(const std::string& caller, int tries) {
    int count = 0;
    for (int i = 0; i < tries; ++i) count += limit.take(caller, now) ? 1 : 0;
    return count;
  }
  RateLimit limit{2};  // a second, and so 20 at once
  RateLimit::Time now{seconds(1000)};
};

TEST_F(RateLimitTest, TakesABurstAndThenThePace) {
  EXPECT_EQ(taken("ci", 100), 20);
  now += milliseconds(499);
  EXPECT_EQ(taken("ci", 100), 0);
  now += milliseconds(2);
  EXPECT_EQ(taken("ci", 100), 1);
  now += seconds(3);
  EXPECT_EQ(taken("ci", 100), 6);
}

TEST_F(RateLimitTest, NeverHoldsMoreThanABurst) {
  taken("ci", 100);
  now += seconds(100'000);
  EXPECT_EQ(taken("ci", 100), 20);
}

TEST_F(RateLimitTest, CallersDoNotPayForEachOther) {
  EXPECT_EQ(taken("ci", 100), 20);
  EXPECT_EQ(taken("uid 0", 100), 20);
}

TEST_F(RateLimitTest, ForgetsWhoHasBeenAway) {
  for (int i = 0; i < 1000; ++i) taken("caller " + std::to_string(i), 1);
  EXPECT_EQ(limit.callers(), 1000U);
  now += seconds(11);
  taken("another", 1);
  EXPECT_EQ(limit.callers(), 1U);
}

TEST_F(RateLimitTest, ZeroIsNoLimit) {
  RateLimit none(0);
  for (int i = 0; i < 10'000; ++i) EXPECT_TRUE(none.take("ci", now));
  EXPECT_EQ(none.callers(), 0U);
}

}  // namespace
}  // namespace appd::model
