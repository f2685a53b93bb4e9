// How far a change can be taken back, and that nothing comes of it then.
#include "supervisor/core/cancel.h"

#include <gtest/gtest.h>

#include "tests/unit/supervisor/core/world.h"

namespace appd::core {
namespace {

class Cancel : public testing::Test {
 protected:
  // Rollout 1 serves; 2 is wanted and has begun.
  void reload() {
    old_ = world_.start_and_serve();
    world_.want.rollout = 2;
    world_.settle();
    new_ = world_.newest;
  }
  Result<void> check(model::OperationKind kind, std::int64_t rollout) const {
    model::Operation operation;
    operation.app = "web";
    operation.kind = kind;
    operation.rollout = rollout;
    return check_cancellable(operation, world_.have);
  }
  // "" if it may be.
  std::string refusal(model::OperationKind kind, std::int64_t rollout) const {
    auto checked = check(kind, rollout);
    if (checked) return "";
    EXPECT_EQ(checked.error().code, ErrorCode::FailedPrecondition);
    EXPECT_EQ(checked.error().reason, "NOT_CANCELLABLE");
    return checked.error().message;
  }
  // As the core does it.
  void cancel() {
    world_.have.failed_rollout = 2;
    const Action action = dismissal(new_, *world_.have.find(new_));
    begin(action, world_.want, world_.have, 0, world_.now);
    dismissed_ = action;
    world_.settle();
  }

  World world_;
  RolloutKey old_ = 0;
  RolloutKey new_ = 0;
  std::optional<Action> dismissed_;
};

TEST_F(Cancel, AReloadMayBeWhileItIsPreparedAndWarm) {
  reload();
  EXPECT_EQ(refusal(model::OperationKind::Reload, 2), "");
  world_.load(new_);
  ASSERT_EQ(world_.have.find(new_)->phase, RolloutPhase::Warming);
  EXPECT_EQ(refusal(model::OperationKind::Reload, 2), "");
}

TEST_F(Cancel, OneThatHasNotBegunMayBe) {
  old_ = world_.start_and_serve();
  EXPECT_EQ(refusal(model::OperationKind::Update, 2), "");
}

TEST_F(Cancel, NothingMayBeThatTakesOver) {
  reload();
  world_.load(new_);
  world_.answer_forks(new_);
  ASSERT_EQ(world_.have.find(new_)->phase, RolloutPhase::Switching);
  EXPECT_NE(refusal(model::OperationKind::Reload, 2).find("appctl rollback web"),
            std::string::npos);
  world_.answer_forks(new_);
  ASSERT_EQ(world_.have.find(new_)->phase, RolloutPhase::Serving);
  EXPECT_NE(refusal(model::OperationKind::Reload, 2).find("appctl rollback web"),
            std::string::npos);
}

TEST_F(Cancel, WhatTakesEffectFromItsFirstMomentOnMayNotBe) {
  reload();
  EXPECT_NE(refusal(model::OperationKind::Scale, 0).find("change web back"), std::string::npos);
  EXPECT_NE(refusal(model::OperationKind::Delete, 0).find("create it anew"), std::string::npos);
}

TEST_F(Cancel, WithNothingBeforeThereIsNothingToServeOn) {
  world_.settle();
  EXPECT_NE(refusal(model::OperationKind::Create, 1).find("appctl stop web"), std::string::npos);
}

TEST_F(Cancel, WhatIsPreparedIsKilledAndNotTriedAgain) {
  reload();
  cancel();
  EXPECT_TRUE(std::holds_alternative<KillRollout>(*dismissed_));
  world_.tell(new_, ZygoteGone{"was killed", ""});
  world_.settle();
  EXPECT_EQ(world_.count<StartRollout>(), 2U);
  EXPECT_TRUE(converged(world_.want, world_.have));
  EXPECT_FALSE(world_.have.failure.has_value()) << "a change that was cancelled has not failed";
}

TEST_F(Cancel, AWorkerThatMayHaveClientsDrains) {
  reload();
  world_.load(new_);
  world_.tell(new_, message::Forked{3, 1003, false});
  cancel();
  EXPECT_TRUE(std::holds_alternative<AbandonRollout>(*dismissed_));
  EXPECT_EQ(world_.count<RetireRollout>(), 1U);
  EXPECT_EQ(world_.have.find(old_)->ready(), 2);
}

TEST_F(Cancel, ATaskIsGivenTheTimeToEndWell) {
  world_.want.spec.run_once = {"migrate"};
  reload();
  world_.tell(new_, message::RunningOnce{1, 1, "migrate"});
  cancel();
  EXPECT_TRUE(std::holds_alternative<RetireRollout>(*dismissed_));
  EXPECT_EQ(world_.count<KillRollout>(), 0U);
}

}  // namespace
}  // namespace appd::core
