// Replacing a pool in steps: never fewer than wanted that serve, never more than the surge beyond.
#include "supervisor/core/surge.h"

#include <gtest/gtest.h>

#include "tests/unit/supervisor/core/world.h"

namespace appd::core {
namespace {

using namespace std::chrono_literals;
using model::FailureCause;

// A world that is looked at after every event.
class Steps : public testing::Test {
 protected:
  Steps() {
    world_.want.spec.workers = 4;
    world_.want.spec.max_surge = 1;
    old_ = world_.start_and_serve();
    world_.want.rollout = 2;
    world_.settle();
    fresh_ = world_.newest;
  }
  void look() {
    EXPECT_GE(world_.have.ready(), 4) << "fewer than wanted";
    EXPECT_LE(world_.have.workers(), most_) << "more than the surge allows";
  }
  // What was asked for comes up, what drains goes; until nothing moves.
  void run() {
    for (int round = 0; round < 50; ++round) {
      std::int32_t before = static_cast<std::int32_t>(world_.done.size());
      for (RolloutKey key : keys()) {
        world_.answer_forks(key);
        look();
      }
      for (RolloutKey key : keys()) {
        world_.exit_draining(key);
        look();
      }
      if (static_cast<std::int32_t>(world_.done.size()) == before) return;
    }
    ADD_FAILURE() << "the pool does not come to rest";
  }
  std::vector<RolloutKey> keys() const {
    std::vector<RolloutKey> keys;
    for (const auto& [key, rollout] : world_.have.rollouts) keys.push_back(key);
    return keys;
  }
  void end_zygote(RolloutKey key) {
    world_.tell(key, ZygoteGone{"exited with status 0", ""});
    world_.settle();
  }

  World world_;
  RolloutKey old_ = 0;
  RolloutKey fresh_ = 0;
  std::int32_t most_ = 5;
};

TEST_F(Steps, OneByOneReplacesThePoolWithoutADip) {
  world_.load(fresh_);
  run();
  EXPECT_EQ(world_.have.serving(), fresh_);
  end_zygote(old_);
  EXPECT_TRUE(converged(world_.want, world_.have));
}

TEST_F(Steps, ThreeAtOnceTakeTheirRoom) {
  world_.want.spec.max_surge = 3;
  most_ = 7;
  world_.load(fresh_);
  world_.answer_forks(fresh_);
  EXPECT_EQ(world_.have.workers(), 7);
  run();
  EXPECT_EQ(world_.have.serving(), fresh_);
}

TEST_F(Steps, TheNextComesUpOnlyWhenAnOldOneHasGone) {
  world_.load(fresh_);
  world_.answer_forks(fresh_);
  EXPECT_EQ(world_.have.find(old_)->draining(), 1);
  EXPECT_EQ(world_.have.find(fresh_)->staying(), 1);
  world_.exit_draining(old_);
  EXPECT_EQ(world_.have.find(fresh_)->staying(), 2);
}

TEST_F(Steps, MemoryLowersTheSurge) {
  world_.want.spec.max_surge = 0;
  world_.load(fresh_);
  most_ = 6;
  world_.have.find(fresh_)->surge = 2;
  run();
  EXPECT_EQ(world_.have.serving(), fresh_);
}

TEST_F(Steps, WithoutRoomForOneMoreOneIsTakenNevertheless) {
  world_.load(fresh_);
  world_.have.find(fresh_)->surge = 0;
  run();
  EXPECT_EQ(world_.have.serving(), fresh_);
}

TEST_F(Steps, AnOldWorkerThatDiesIsReplacedByANewOne) {
  world_.load(fresh_);
  world_.answer_forks(fresh_);
  world_.exit_draining(old_);
  world_.done.clear();
  world_.tell(old_, message::Exited{1, 1001, 9, message::ExitCause::Own, ""});
  world_.settle();
  ASSERT_EQ(world_.count<ForkWorker>(), 1U) << "three serve, one comes up: room for one more";
}

TEST_F(Steps, ARolloutThatFailsHalfWayGoesAsTheOldOneGrowsAgain) {
  world_.load(fresh_);
  world_.answer_forks(fresh_);
  world_.exit_draining(old_);
  world_.answer_forks(fresh_);
  world_.exit_draining(old_);
  ASSERT_EQ(world_.have.find(old_)->ready(), 2);
  ASSERT_EQ(world_.have.find(fresh_)->ready(), 2);
  WorkerId coming = 0;
  for (const auto& [id, worker] : world_.have.find(fresh_)->workers) {
    if (worker.state == model::WorkerState::Starting) coming = id;
  }
  world_.tell(fresh_, message::Forked{coming, 4711, false});
  auto seen =
      world_.tell(fresh_, message::BootFailed{coming, message::BootFailure::Unhealthy, "sick", ""});
  ASSERT_TRUE(seen.rollout_failed);
  EXPECT_EQ(seen.rollout_failed->cause, FailureCause::ProbeFailed);
  world_.settle();
  look();
  world_.tell(fresh_, message::Exited{coming, 4711, 0x300, message::ExitCause::Own, ""});
  world_.settle();
  run();
  EXPECT_EQ(world_.count<KillRollout>(), 0U) << "clients may be in its hands";
  EXPECT_EQ(world_.have.find(old_)->ready(), 4);
  end_zygote(fresh_);
  EXPECT_TRUE(converged(world_.want, world_.have));
}

TEST_F(Steps, ARolloutThatIsSupersededHalfWayCarriesItsShareUntilTheNextOneDoes) {
  world_.load(fresh_);
  world_.answer_forks(fresh_);
  world_.exit_draining(old_);
  world_.answer_forks(fresh_);
  world_.exit_draining(old_);
  ASSERT_EQ(world_.have.find(fresh_)->ready(), 2);
  world_.want.rollout = 3;
  world_.settle();
  look();
  RolloutKey third = world_.newest;
  ASSERT_NE(third, fresh_);
  run();
  world_.load(third);
  run();
  EXPECT_EQ(world_.have.serving(), third);
  end_zygote(old_);
  end_zygote(fresh_);
  EXPECT_TRUE(converged(world_.want, world_.have));
}

TEST_F(Steps, WhatIsSupersededDrainsAsSoonAsItHasAWorker) {
  world_.load(fresh_);
  ASSERT_EQ(world_.have.find(fresh_)->ready(), 0) << "as far as we know";
  world_.done.clear();
  world_.want.rollout = 3;
  world_.settle();
  EXPECT_EQ(world_.count<KillRollout>(), 0U);
  EXPECT_EQ(world_.count<RetireRollout>(), 1U);
}

TEST_F(Steps, AnAdoptedRolloutThatHasToldNothingYetIsNotKilled) {
  world_.have.find(fresh_)->untold = 1;
  world_.have.find(fresh_)->phase = RolloutPhase::Retiring;
  world_.done.clear();
  world_.settle();
  EXPECT_EQ(world_.count<KillRollout>(), 0U);
  EXPECT_EQ(world_.count<RetireRollout>(), 1U);
}

TEST_F(Steps, StoppingWaitsForNobodysCapacity) {
  world_.load(fresh_);
  world_.answer_forks(fresh_);
  world_.exit_draining(old_);
  world_.want.rollout = 3;
  world_.settle();
  world_.want.spec.run_mode = model::RunMode::Stopped;
  world_.settle();
  EXPECT_EQ(world_.have.ready(), 0);
}

TEST(Surge, CountsWorkersAgainstWhatIsAvailable) {
  constexpr std::int64_t kMiB = 1 << 20;
  model::AppSpec spec;
  EXPECT_EQ(workers_that_fit(spec, {1000 * kMiB, 0, 100 * kMiB}), 9) << "the host keeps a reserve";
  EXPECT_EQ(workers_that_fit(spec, {10 * kMiB, 0, 100 * kMiB}), 0);
  EXPECT_EQ(workers_that_fit(spec, {1000 * kMiB, 0, 0}), kAnySurge) << "nobody knows";
  spec.memory_budget = 500 * kMiB;
  EXPECT_EQ(workers_that_fit(spec, {1000 * kMiB, 250 * kMiB, 100 * kMiB}), 2);
  EXPECT_EQ(workers_that_fit(spec, {1000 * kMiB, 600 * kMiB, 100 * kMiB}), 0);
  spec.limit_memory = 400 * kMiB;
  EXPECT_EQ(workers_that_fit(spec, {1000 * kMiB, 250 * kMiB, 100 * kMiB}), 1);
  spec.memory_budget = 0;
  EXPECT_EQ(workers_that_fit(spec, {1000 * kMiB, 250 * kMiB, 100 * kMiB}), 1);
}

}  // namespace
}  // namespace appd::core
