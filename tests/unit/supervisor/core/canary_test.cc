// Canaries: the comparison, and what the planner makes of it.
#include "supervisor/core/canary.h"

#include <gtest/gtest.h>

#include "tests/unit/supervisor/core/world.h"

namespace appd::core {
namespace {

using namespace std::chrono_literals;
using model::FailureCause;

// So many requests, each of about so many milliseconds.
Figures figures(std::uint64_t requests, std::uint64_t errors = 0, double milliseconds = 1) {
  Figures figures;
  figures.requests = requests;
  figures.errors = errors;
  std::size_t bucket = 0;
  while ((1U << bucket) <= milliseconds * 1000) ++bucket;
  figures.latency[bucket] = requests;
  return figures;
}

CanaryVerdict verdict(const Figures& canary, const Figures& old, bool over = true,
                      model::AppSpec spec = {}) {
  return judge(spec, {canary, old}, over).verdict;
}

TEST(Figures, PercentilesLieWithinTheirBucket) {
  Figures spread;
  spread.latency[10] = 90;  // 0.5 to 1 ms
  spread.latency[14] = 10;  // 8 to 16 ms
  EXPECT_GT(spread.percentile(0.5), 0.5);
  EXPECT_LT(spread.percentile(0.5), 1.03);
  EXPECT_GT(spread.percentile(0.95), 8);
  EXPECT_LT(spread.percentile(0.95), 16.5);
  EXPECT_EQ(Figures{}.percentile(0.95), 0);
}

TEST(Figures, CountsWhatIsSlowerWithinABucketToo) {
  Figures spread;
  spread.latency[10] = 90;
  spread.latency[14] = 10;
  EXPECT_NEAR(spread.slower_than(0), 100, 1e-9);
  EXPECT_NEAR(spread.slower_than(5), 10, 1e-9);
  EXPECT_NEAR(spread.slower_than(12.288), 5, 1e-9);
  EXPECT_NEAR(spread.slower_than(20), 0, 1e-9);
}

TEST(Judge, MoreErrorsThanAllowedAndThanBeforeAreWorse) {
  EXPECT_EQ(verdict(figures(100, 2), figures(1000, 0)), CanaryVerdict::Worse);
  EXPECT_EQ(verdict(figures(100, 1), figures(1000, 0)), CanaryVerdict::Well) << "1 % is allowed";
  EXPECT_EQ(verdict(figures(100, 50), figures(1000, 600)), CanaryVerdict::Well)
      << "what served before fails more";
  EXPECT_EQ(verdict(figures(100, 7), figures(0)), CanaryVerdict::Worse);
  model::AppSpec lenient;
  lenient.max_error_rate = 2.5;
  EXPECT_EQ(verdict(figures(100, 2), figures(1000, 0), true, lenient), CanaryVerdict::Well);
}

TEST(Judge, WhatChanceCanDoIsNotHeldAgainstTheCanary) {
  EXPECT_EQ(verdict(figures(20, 1), figures(1000, 0)), CanaryVerdict::Well) << "one of the first";
  EXPECT_EQ(verdict(figures(20, 1), figures(100'000, 0)), CanaryVerdict::Worse)
      << "of so many none";
  EXPECT_EQ(verdict(figures(100, 2), figures(0)), CanaryVerdict::Well) << "nothing to compare with";
  EXPECT_EQ(verdict(figures(200, 5), figures(2000, 30)), CanaryVerdict::Well) << "2.5 % and 1.5 %";
  EXPECT_EQ(verdict(figures(20'000, 500), figures(200'000, 3000)), CanaryVerdict::Worse)
      << "the same of many";
  model::AppSpec strict;
  strict.max_error_rate = 0;
  EXPECT_EQ(verdict(figures(20, 1), figures(20, 0), true, strict), CanaryVerdict::Worse)
      << "none is allowed";
}

// One request in twenty is slow by nature: whether it is within the 95th percentile is luck.
TEST(Judge, AFewSlowRequestsThatTheOldRolloutHasTooAreNoSlowness) {
  Figures old = figures(1000, 0, 10);
  old.latency[20] = 49;  // half a second to one
  old.requests += 49;
  Figures canary = figures(100, 0, 10);
  canary.latency[20] = 7;
  canary.requests += 7;
  EXPECT_EQ(verdict(canary, old), CanaryVerdict::Well);
  canary.latency[20] = 30;
  canary.requests = 130;
  EXPECT_EQ(verdict(canary, old), CanaryVerdict::Worse);
}

TEST(Judge, AMedianThatIsMuchSlowerIsFoundBehindATailThatIsSlowAnyhow) {
  Figures old = figures(900, 0, 10);
  old.latency[22] = 100;  // two to four seconds
  old.requests += 100;
  Figures canary = figures(90, 0, 200);
  canary.latency[22] = 10;
  canary.requests += 10;
  EXPECT_LT(canary.percentile(0.95), 3 * old.percentile(0.95));
  EXPECT_EQ(verdict(canary, old), CanaryVerdict::Worse);
}

TEST(Judge, ErrorsAreFoundBeforeTheBakeIsOver) {
  EXPECT_EQ(verdict(figures(20, 10), figures(0), false), CanaryVerdict::Worse);
}

TEST(Judge, TooFewRequestsSayNothing) {
  EXPECT_EQ(verdict(figures(19, 19), figures(1000)), CanaryVerdict::Unknown);
  EXPECT_EQ(verdict(figures(99, 0, 800), figures(1000, 0, 20)), CanaryVerdict::Well);
  EXPECT_EQ(verdict(figures(1000, 0, 800), figures(99, 0, 20)), CanaryVerdict::Well);
}

TEST(Judge, MuchSlowerIsWorseAtTheEnd) {
  EXPECT_EQ(verdict(figures(100, 0, 200), figures(1000, 0, 20)), CanaryVerdict::Worse);
  EXPECT_EQ(verdict(figures(100, 0, 200), figures(1000, 0, 20), false), CanaryVerdict::Well)
      << "it may be only warming up";
  EXPECT_EQ(verdict(figures(100, 0, 30), figures(1000, 0, 20)), CanaryVerdict::Well);
  EXPECT_EQ(verdict(figures(100, 0, 8), figures(1000, 0, 0.1)), CanaryVerdict::Well)
      << "quick is quick";
  model::AppSpec patient;
  patient.max_latency_factor = 0;
  EXPECT_EQ(verdict(figures(100, 0, 200), figures(1000, 0, 20), true, patient),
            CanaryVerdict::Well);
}

TEST(Judge, TellsTheFigures) {
  EXPECT_EQ(judge({}, {figures(400, 210, 20), figures(1200, 0, 20)}, true).text,
            "the canary does worse: 52.5 % of 400 requests failed (the old rollout's: 0 % of 1200 "
            "requests failed), p50 24.6 ms (24.6 ms), p95 31.9 ms (31.9 ms); max_error_rate is "
            "1 %");
  EXPECT_EQ(judge({}, {figures(1, 0), figures(0)}, true).text,
            "0 % of 1 request failed (the old rollout's: 0 % of 0 requests failed)");
}

// Four workers serve; the next rollout has a canary.
class Canary : public testing::Test {
 protected:
  Canary() {
    world_.want.spec.workers = 4;
    world_.want.spec.canary = 2;
    world_.want.spec.bake = 60s;
    old_ = world_.start_and_serve();
    world_.want.rollout = 2;
    world_.settle();
    fresh_ = world_.newest;
    world_.load(fresh_);
  }
  Rollout& fresh() { return *world_.have.find(fresh_); }

  World world_;
  RolloutKey old_ = 0;
  RolloutKey fresh_ = 0;
};

TEST_F(Canary, ServesBesideTheWholeOldPool) {
  EXPECT_EQ(fresh().workers.size(), 2U);
  world_.answer_forks(fresh_);
  EXPECT_TRUE(fresh().baking());
  EXPECT_EQ(world_.have.find(old_)->ready(), 4);
  EXPECT_EQ(fresh().workers.size(), 2U) << "the others wait";
}

TEST_F(Canary, TheFirstRolloutHasNobodyToBeComparedWith) {
  World world;
  world.want.spec.canary = 1;
  world.start_and_serve();
  EXPECT_EQ(world.count<BeginBake>(), 0U);
}

TEST_F(Canary, ThatDoesWellIsFollowedByTheOthers) {
  world_.answer_forks(fresh_);
  fresh().bake->figures = {figures(1000), figures(2000)};
  Plan waiting = world_.settle();
  ASSERT_TRUE(waiting.deadline);
  EXPECT_LE(*waiting.deadline - world_.now.steady, 1s);
  world_.pass(59s);
  world_.settle();
  EXPECT_TRUE(fresh().baking());
  world_.pass(1s);
  world_.settle();
  EXPECT_EQ(fresh().phase, RolloutPhase::Switching);
  world_.answer_forks(fresh_);
  EXPECT_EQ(world_.have.serving(), fresh_);
}

TEST_F(Canary, MayTakeLongerThanBootTimeout) {
  world_.want.spec.bake = 1h;
  world_.answer_forks(fresh_);
  world_.pass(30min);
  world_.settle();
  EXPECT_TRUE(fresh().baking());
}

TEST_F(Canary, ThatDoesWorseIsDrainedAtOnceAndNotTriedAgain) {
  world_.answer_forks(fresh_);
  fresh().bake->figures = {figures(100, 50), figures(200)};
  world_.done.clear();
  world_.settle();
  ASSERT_TRUE(world_.have.failure);
  EXPECT_EQ(world_.have.failure->cause, FailureCause::CanaryFailed);
  EXPECT_EQ(world_.have.failed_rollout, 2);
  EXPECT_EQ(world_.count<RetireRollout>(), 1U);
  EXPECT_EQ(world_.count<KillRollout>(), 0U) << "its clients' requests are finished";
  world_.exit_draining(fresh_);
  world_.tell(fresh_, ZygoteGone{"exited with status 0", ""});
  world_.settle();
  EXPECT_TRUE(converged(world_.want, world_.have));
  EXPECT_EQ(world_.have.serving(), old_);
}

TEST_F(Canary, ThatDiesIsTakenBack) {
  world_.answer_forks(fresh_);
  WorkerId first = fresh().workers.begin()->first;
  auto seen = world_.tell(fresh_, message::Exited{first, 1000 + static_cast<int>(first), 11,
                                                  message::ExitCause::Own, ""});
  ASSERT_TRUE(seen.rollout_failed);
  EXPECT_EQ(seen.rollout_failed->cause, FailureCause::WorkerDied);
  EXPECT_NE(seen.rollout_failed->message.find("a canary, was killed by signal 11 (SIGSEGV)"),
            std::string::npos)
      << seen.rollout_failed->message;
}

TEST_F(Canary, IsSupersededByALaterReload) {
  world_.answer_forks(fresh_);
  world_.want.rollout = 3;
  world_.done.clear();
  world_.settle();
  EXPECT_EQ(world_.count<RetireRollout>(), 1U);
  EXPECT_EQ(world_.count<StartRollout>(), 1U);
  EXPECT_EQ(world_.have.find(old_)->ready(), 4);
}

TEST_F(Canary, IsNeverLargerThanThePool) {
  world_.want.spec.canary = 9;
  world_.answer_forks(fresh_);
  EXPECT_EQ(fresh().workers.size(), 4U);
}

}  // namespace
}  // namespace appd::core
