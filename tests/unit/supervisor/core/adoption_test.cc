// Where the rollouts that an earlier appd left go on.
#include "supervisor/core/adoption.h"

#include <gtest/gtest.h>

#include "tests/unit/supervisor/core/world.h"

namespace appd::core {
namespace {

using namespace std::chrono_literals;
using message::Stage;
using message::StagePhase;

class Adoption : public testing::Test {
 protected:
  // A zygote that was found, as it says itself.
  RolloutKey found(std::int64_t number, const Stage& stage = {}) {
    Rollout& rollout = world_.have.rollouts[++key_];
    rollout.number = number;
    rollout.spec = world_.want.spec;
    take_up(stage, rollout, world_.now.steady);
    return key_;
  }
  RolloutKey orphans(std::int64_t number) {
    const RolloutKey key = found(number);
    world_.have.find(key)->zygote_gone = true;
    world_.have.find(key)->workers[1].pid = 1001;
    return key;
  }
  static Stage at(StagePhase phase) {
    Stage stage;
    stage.phase = phase;
    return stage;
  }
  RolloutPhase phase(RolloutKey key) { return world_.have.find(key)->phase; }
  void sort_out() { sort_out_adopted(record_, world_.have); }

  World world_;
  model::AppRecord record_;

 private:
  RolloutKey key_ = 0;
};

TEST_F(Adoption, WhatServesServesOnAndWhatIsWantedGoesOnToProveItself) {
  record_.rollout = 2;
  record_.good_rollout = 1;
  const RolloutKey old = found(1, at(StagePhase::Serving));
  const RolloutKey next = found(2);
  sort_out();
  EXPECT_EQ(phase(old), RolloutPhase::Serving);
  EXPECT_EQ(phase(next), RolloutPhase::Preparing);
}

TEST_F(Adoption, WhatHasProvedItselfIsNotProvedAgain) {
  record_.rollout = 2;
  record_.good_rollout = 1;
  const RolloutKey old = found(1, at(StagePhase::Serving));
  Stage stage = at(StagePhase::Switching);
  stage.surge = 1;
  const RolloutKey next = found(2, stage);
  sort_out();
  EXPECT_EQ(phase(old), RolloutPhase::Serving);
  EXPECT_EQ(phase(next), RolloutPhase::Switching);
  EXPECT_EQ(world_.have.find(next)->surge, 1);
}

TEST_F(Adoption, WhatWasReplacedByTheStoresWordGoes) {
  record_.rollout = record_.good_rollout = 2;
  const RolloutKey old = found(1, at(StagePhase::Serving));
  // Its zygote had not been told yet that it serves.
  const RolloutKey next = found(2, at(StagePhase::Switching));
  sort_out();
  EXPECT_EQ(phase(old), RolloutPhase::Retiring);
  EXPECT_EQ(phase(next), RolloutPhase::Switching);
}

TEST_F(Adoption, WhatWasRefusedGoesHoweverFarItCame) {
  record_.rollout = 2;
  record_.good_rollout = 1;
  record_.failed_rollout = 2;
  const RolloutKey old = found(1, at(StagePhase::Serving));
  const RolloutKey refused = found(2, at(StagePhase::Switching));
  sort_out();
  EXPECT_EQ(phase(old), RolloutPhase::Serving);
  EXPECT_EQ(phase(refused), RolloutPhase::Retiring);
}

TEST_F(Adoption, WhatWasSupersededGoes) {
  record_.rollout = 3;
  record_.good_rollout = 1;
  const RolloutKey old = found(1, at(StagePhase::Serving));
  const RolloutKey superseded = found(2, at(StagePhase::Switching));
  sort_out();
  EXPECT_EQ(phase(old), RolloutPhase::Serving);
  EXPECT_EQ(phase(superseded), RolloutPhase::Retiring);
}

TEST_F(Adoption, OnlyOneServesAlthoughTheStoreHasMissedTheChange) {
  record_.rollout = 2;
  record_.good_rollout = 1;  // the disk was full
  for (bool newest_first : {true, false}) {
    world_.have.rollouts.clear();
    RolloutKey old = newest_first ? 0 : found(1, at(StagePhase::Serving));
    const RolloutKey next = found(2, at(StagePhase::Serving));
    if (newest_first) old = found(1, at(StagePhase::Serving));
    sort_out();
    EXPECT_EQ(phase(old), RolloutPhase::Retiring);
    EXPECT_EQ(phase(next), RolloutPhase::Serving);
  }
}

TEST_F(Adoption, OrphansServeUntilTheirReplacementDoes) {
  record_.rollout = record_.good_rollout = 2;
  const RolloutKey left = orphans(2);
  const RolloutKey replacement = found(2, at(StagePhase::Switching));
  sort_out();
  EXPECT_EQ(phase(left), RolloutPhase::Serving);
  EXPECT_EQ(phase(replacement), RolloutPhase::Switching);
}

TEST_F(Adoption, OrphansGoWhenTheirReplacementServes) {
  record_.rollout = record_.good_rollout = 2;
  for (bool orphans_first : {true, false}) {
    world_.have.rollouts.clear();
    RolloutKey left = orphans_first ? orphans(2) : 0;
    const RolloutKey replacement = found(2, at(StagePhase::Serving));
    if (!orphans_first) left = orphans(2);
    sort_out();
    EXPECT_EQ(phase(left), RolloutPhase::Retiring);
    EXPECT_EQ(phase(replacement), RolloutPhase::Serving);
  }
}

TEST_F(Adoption, OrphansOfARolloutThatHadNotProvedItselfGo) {
  record_.rollout = 2;
  record_.good_rollout = 1;
  const RolloutKey old = found(1, at(StagePhase::Serving));
  const RolloutKey left = orphans(2);
  sort_out();
  EXPECT_EQ(phase(old), RolloutPhase::Serving);
  EXPECT_EQ(phase(left), RolloutPhase::Retiring);
}

TEST_F(Adoption, OfTwoTriesTheOneThatIsFurtherGoesOn) {
  record_.rollout = 2;
  record_.good_rollout = 1;
  const RolloutKey further = found(2, at(StagePhase::Switching));
  const RolloutKey behind = found(2);
  sort_out();
  EXPECT_EQ(phase(further), RolloutPhase::Switching);
  EXPECT_EQ(phase(behind), RolloutPhase::Retiring);
}

TEST_F(Adoption, ABakeGoesOnWithWhatWasSeenOfIt) {
  World& world = world_;
  RolloutKey old = world.start_and_serve();
  world.want.spec.canary = 1;
  world.want.spec.bake = 60s;
  world.want.rollout = 2;
  world.settle();
  world.load(world.newest);
  world.answer_forks(world.newest);
  Rollout& canary = *world.have.find(world.newest);
  ASSERT_TRUE(canary.baking());
  canary.bake->figures.canary.requests = 30;
  canary.bake->figures.old.latency[3] = 7;
  world.pass(20s);
  const Stage stage = stage_of(canary, world.now.steady);

  Rollout next;
  world.pass(1h);  // nobody was there
  take_up(stage, next, world.now.steady);
  EXPECT_EQ(next.phase, RolloutPhase::Preparing) << "until its zygote has said that it is loaded";
  ASSERT_TRUE(next.bake.has_value());
  EXPECT_EQ(next.bake->began, world.now.steady - 20s) << "time without an appd is no part of it";
  EXPECT_EQ(next.bake->figures.canary.requests, 30u);
  EXPECT_EQ(next.bake->figures.old.latency[3], 7u);
  EXPECT_EQ(stage_of(*world.have.find(old), world.now.steady), at(StagePhase::Serving));
}

TEST_F(Adoption, ACanaryThatDiedWhileNobodyWasThereIsTakenBack) {
  World& world = world_;
  RolloutKey old = world.start_and_serve();
  world.want.spec.canary = 1;
  world.want.spec.bake = 60s;
  world.want.rollout = 2;
  world.settle();
  world.load(world.newest);
  world.answer_forks(world.newest);
  world.have.find(world.newest)->workers.clear();  // as to an appd that has just come
  auto seen = world.tell(world.newest,
                         message::Exited{3, 1003, SIGSEGV, message::ExitCause::Own, "", 0, 0, 0});
  ASSERT_TRUE(seen.rollout_failed.has_value());
  EXPECT_NE(seen.rollout_failed->message.find("a canary"), std::string::npos);
  EXPECT_EQ(world.have.serving(), old);
}

}  // namespace
}  // namespace appd::core
