// The pace of restarts.
#include "supervisor/core/restart_policy.h"

#include <gtest/gtest.h>

namespace appd::core {
namespace {

using namespace std::chrono_literals;
const RestartPolicy::Time kStart(1h);

TEST(RestartPolicy, StartsAtOnceInTheBeginning) { EXPECT_TRUE(RestartPolicy{}.may_start(kStart)); }

TEST(RestartPolicy, ReplacesAWorkerThatHadBeenWellAtOnce) {
  RestartPolicy policy;
  policy.died(kStart, 1h);
  EXPECT_TRUE(policy.may_start(kStart));
}

TEST(RestartPolicy, ForgivesOneEarlyDeathOfAReadyWorker) {
  RestartPolicy policy;
  policy.died(kStart, 5ms);
  EXPECT_TRUE(policy.may_start(kStart));
  policy.died(kStart, 5ms);
  EXPECT_FALSE(policy.may_start(kStart));
}

TEST(RestartPolicy, DoublesUpToAMinute) {
  RestartPolicy policy;
  for (auto pause : {1s, 2s, 4s, 8s, 16s, 32s, 60s, 60s}) {
    policy.died(kStart, std::nullopt);
    EXPECT_FALSE(policy.may_start(kStart + pause - 1ms));
    EXPECT_TRUE(policy.may_start(kStart + pause));
  }
}

TEST(RestartPolicy, CountsOneDeathOfThoseThatCameUpTogether) {
  RestartPolicy policy;
  for (int i = 0; i < 16; ++i) policy.died(kStart + 3s, 2s, kStart);
  EXPECT_EQ(policy.early_deaths(), 1);
  EXPECT_TRUE(policy.may_start(kStart + 3s));
  for (int i = 0; i < 16; ++i) policy.died(kStart + 6s, 2s, kStart + 4s);
  EXPECT_EQ(policy.early_deaths(), 2);
  EXPECT_FALSE(policy.may_start(kStart + 6s));
}

TEST(RestartPolicy, SaysWhenThePauseIsTheLongest) {
  RestartPolicy policy;
  for (int i = 0; i < 6; ++i) policy.died(kStart, std::nullopt);
  EXPECT_FALSE(policy.at_longest());
  policy.died(kStart, std::nullopt);
  EXPECT_TRUE(policy.at_longest());
  EXPECT_EQ(policy.not_before(), kStart + RestartPolicy::kLongest);
}

TEST(RestartPolicy, ForgetsEarlyDeathsOnceSomethingHasBeenWell) {
  RestartPolicy policy;
  for (int i = 0; i < 5; ++i) policy.died(kStart, std::nullopt);
  policy.died(kStart, RestartPolicy::kWell);
  EXPECT_EQ(policy.early_deaths(), 0);
  EXPECT_TRUE(policy.may_start(kStart));
}

}  // namespace
}  // namespace appd::core
