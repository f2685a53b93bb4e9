// Which revision "the last good one" is, in every situation from which somebody may ask.
#include "supervisor/core/rollback.h"

#include <gtest/gtest.h>

namespace appd::core {
namespace {

using model::OperationPhase;
using model::Revision;

// A history that is written from the oldest on.
class History {
 public:
  History& add(std::int32_t workers, OperationPhase outcome = OperationPhase::Succeeded) {
    Revision next;
    next.number = static_cast<std::int64_t>(revisions_.size()) + 1;
    next.spec.workers = workers;
    next.outcome = outcome;
    next.method = "UpdateApp";
    revisions_.insert(revisions_.begin(), next);
    return *this;
  }
  History& stopped() {
    revisions_.front().spec.run_mode = model::RunMode::Stopped;
    return *this;
  }
  History& by_appd() {
    revisions_.front().method.clear();
    return *this;
  }
  std::int64_t target() const {
    const auto number = revision_to_roll_back_to(revisions_);
    if (number) return *number;
    EXPECT_EQ(number.error().reason, "NOTHING_TO_ROLL_BACK");
    EXPECT_EQ(number.error().code, ErrorCode::FailedPrecondition);
    return 0;
  }
  const std::vector<Revision>& newest_first() const { return revisions_; }

 private:
  std::vector<Revision> revisions_;
};

TEST(Rollback, UndoesAChangeThatServes) { EXPECT_EQ(History().add(4).add(17).target(), 1); }

TEST(Rollback, AReloadIsNoOtherThingToGoBackTo) {
  EXPECT_EQ(History().add(4).add(17).add(17).add(17).target(), 1);
}

TEST(Rollback, PassesOverWhatFailed) {
  EXPECT_EQ(History().add(4).add(5, OperationPhase::Failed).add(17).target(), 1);
  EXPECT_EQ(History().add(4).add(5, OperationPhase::Superseded).add(17).target(), 1);
}

TEST(Rollback, FromAChangeThatFailedOrIsUnderWayGoesToTheLastGoodEvenIfItWantsTheSame) {
  EXPECT_EQ(History().add(3).add(4).add(4, OperationPhase::Preparing).target(), 2);
  EXPECT_EQ(History().add(3).add(4).add(17, OperationPhase::Failed).target(), 2);
}

TEST(Rollback, WhatAppdHasTakenBackIsNotTakenBackFurther) {
  EXPECT_EQ(History().add(3).add(4).add(17, OperationPhase::RolledBack).add(4).by_appd().target(),
            0);
  EXPECT_EQ(History().add(3).add(4).add(4, OperationPhase::RolledBack).target(), 0);
}

TEST(Rollback, WhatWasCancelledIsNotTakenBackFurther) {
  EXPECT_EQ(History().add(3).add(4).add(17, OperationPhase::Cancelled).add(4).by_appd().target(),
            0);
  EXPECT_EQ(History().add(3).add(4).add(4, OperationPhase::Cancelled).target(), 0);
  EXPECT_EQ(History().add(3).add(4, OperationPhase::Cancelled).add(17).target(), 1);
}

TEST(Rollback, StoppingIsNoChangeToUndoAndProvesNothing) {
  EXPECT_EQ(History().add(4).add(4).stopped().target(), 0);
  EXPECT_EQ(History().add(4).add(5).stopped().target(), 1);
  EXPECT_EQ(History().add(4).add(4).stopped().add(4).target(), 0);
  EXPECT_EQ(History().add(4).add(5).stopped().add(5, OperationPhase::Failed).target(), 1);
}

TEST(Rollback, TwiceGoesThereAndBack) { EXPECT_EQ(History().add(4).add(17).add(4).target(), 2); }

TEST(Rollback, WithNothingBeforeThereIsNothing) {
  EXPECT_EQ(History().target(), 0);
  EXPECT_EQ(History().add(4).target(), 0);
  EXPECT_EQ(History().add(4, OperationPhase::Failed).add(5, OperationPhase::Failed).target(), 0);
}

TEST(Rollback, FindsTheNewestRevisionWithASpec) {
  const History history = History().add(4).add(17).add(4).add(5);
  model::AppSpec spec;
  spec.workers = 4;
  EXPECT_EQ(revision_with(history.newest_first(), spec), 3);
  spec.workers = 6;
  EXPECT_EQ(revision_with(history.newest_first(), spec), 0);
}

}  // namespace
}  // namespace appd::core
