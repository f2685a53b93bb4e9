// The history on disk: what comes back, how it ends, what is given up and what never is.
#include "supervisor/store/sqlite.h"
#include "tests/unit/supervisor/store/store_fixture.h"

namespace appd::store {
namespace {

void expect_same(const model::Revision& a, const model::Revision& b) {
  EXPECT_EQ(a.app, b.app);
  EXPECT_EQ(a.number, b.number);
  EXPECT_EQ(a.generation, b.generation);
  EXPECT_EQ(a.rollout, b.rollout);
  EXPECT_EQ(a.spec, b.spec);
  EXPECT_EQ(a.time, b.time);
  EXPECT_EQ(a.caller, b.caller);
  EXPECT_EQ(a.method, b.method);
  EXPECT_EQ(a.reason, b.reason);
  EXPECT_EQ(a.operation, b.operation);
  EXPECT_EQ(a.outcome, b.outcome);
  EXPECT_EQ(a.error_message, b.error_message);
  EXPECT_EQ(a.cause, b.cause);
  EXPECT_EQ(a.end_time, b.end_time);
  EXPECT_EQ(a.restores, b.restores);
}

class Revisions : public StoreTest {
 protected:
  static model::Revision good(std::int64_t number, std::int32_t workers) {
    model::Revision out = revision("web", number);
    out.spec.run_mode = model::RunMode::Running;
    out.spec.workers = workers;
    out.outcome = model::OperationPhase::Succeeded;
    return out;
  }
  static model::Revision refused(std::int64_t number) {
    model::Revision out = good(number, 99);
    out.outcome = model::OperationPhase::RolledBack;
    return out;
  }
  static void put(Store& store, model::Revision revision) {
    Change change;
    change.put_revision = std::move(revision);
    const auto outcome = store.commit(change, at(0));
    ASSERT_TRUE(outcome) << outcome.error().message;
  }
  static std::vector<std::int64_t> numbers(Store& store) {
    std::vector<std::int64_t> out;
    const auto history = store.revisions("web");
    for (const model::Revision& each : *history) out.push_back(each.number);
    return out;
  }
};

TEST_F(Revisions, ComeBackAfterReopeningTheNewestFirst) {
  model::Revision taken_back;  // nobody called, and nothing is known but what it is
  taken_back.app = "web";
  taken_back.number = 2;
  {
    auto store = open();
    put(*store, revision("web", 1));
    put(*store, taken_back);
    put(*store, revision("other", 1));
  }
  const auto history = open()->revisions("web");
  ASSERT_TRUE(history) << history.error().message;
  ASSERT_EQ(history->size(), 2U);
  expect_same(history->at(0), taken_back);
  expect_same(history->at(1), revision("web", 1));
}

TEST_F(Revisions, EndAsTheirOperationDoes) {
  auto store = open();
  model::Revision begun = good(1, 4);
  begun.outcome = model::OperationPhase::Preparing;
  begun.end_time.reset();
  put(*store, begun);
  model::Operation end = operation("o1", "web");
  Change change;
  change.more_operations = {end};
  ASSERT_TRUE(store->commit(change, at(9)));
  const model::Revision ended = store->revisions("web")->front();
  EXPECT_EQ(ended.outcome, model::OperationPhase::RolledBack);
  EXPECT_EQ(ended.error_message, "rolled back");
  EXPECT_EQ(ended.cause, model::FailureCause::BindFailed);
  EXPECT_EQ(ended.end_time, end.end_time);
}

TEST_F(Revisions, TheNewestHundredAreKept) {
  auto store = open();
  for (std::int64_t i = 1; i <= 103; ++i) put(*store, refused(i));
  put(*store, revision("other", 1));
  const auto kept = numbers(*store);
  ASSERT_EQ(kept.size(), 100U);
  EXPECT_EQ(kept.front(), 103);
  EXPECT_EQ(kept.back(), 4);
  EXPECT_EQ(store->revisions("other")->size(), 1U);
}

TEST_F(Revisions, NoNumberOfFailuresDrivesOutWhatCanBeRolledBackTo) {
  auto store = open();
  put(*store, good(1, 1));
  put(*store, good(2, 2));
  put(*store, good(3, 3));
  put(*store, good(4, 3));  // a reload
  for (std::int64_t i = 5; i <= 150; ++i) put(*store, refused(i));
  const auto kept = numbers(*store);
  ASSERT_EQ(kept.size(), 102U);
  EXPECT_EQ(kept[100], 4) << "the last good one";
  EXPECT_EQ(kept[101], 2) << "the last good one that wants something else";
}

TEST_F(Revisions, WhatNeverServedIsNoneToBeKept) {
  auto store = open();
  model::Revision stopped = good(1, 1);
  stopped.spec.run_mode = model::RunMode::Stopped;
  put(*store, stopped);
  model::Revision taken_back = good(2, 2);
  taken_back.method.clear();
  put(*store, taken_back);
  for (std::int64_t i = 3; i <= 110; ++i) put(*store, refused(i));
  EXPECT_EQ(numbers(*store).back(), 11);
}

TEST_F(Revisions, GoWithTheirApp) {
  auto store = open();
  put(*store, revision("web", 1));
  put(*store, revision("other", 1));
  Change removal;
  removal.remove_app = "web";
  ASSERT_TRUE(store->commit(removal, at(1)));
  EXPECT_TRUE(store->revisions("web")->empty());
  EXPECT_EQ(store->revisions("other")->size(), 1U);
}

TEST_F(Revisions, ARowThatCannotBeReadIsNamed) {
  {
    auto store = open();
    put(*store, revision("web", 3));
  }
  {
    auto database = Database::open(path());
    ASSERT_TRUE(database);
    ASSERT_TRUE(database->run("UPDATE revisions SET cause = 'bad luck'"));
  }
  const auto history = open()->revisions("web");
  ASSERT_FALSE(history);
  EXPECT_EQ(history.error().message,
            path() + ": revisions row \"web\" 3: unknown word \"bad luck\"");
}

}  // namespace
}  // namespace appd::store
