// Operations: who waits, who is superseded, how they end.
#include "supervisor/reconcile/operation_book.h"

#include <gtest/gtest.h>

namespace appd::reconcile {
namespace {

using namespace std::chrono_literals;
using model::OperationKind;
using model::OperationPhase;
const OperationBook::Time kStart(1h);

model::Operation operation(const std::string& id, OperationKind kind, std::int64_t rollout) {
  model::Operation out;
  out.id = id;
  out.app = "web";
  out.kind = kind;
  out.rollout = rollout;
  return out;
}

TEST(OperationBook, AnswersAWaitWhenTheOperationEnds) {
  OperationBook book;
  book.add(operation("a", OperationKind::Scale, 0), false, {});
  std::optional<OperationPhase> seen;
  book.wait("a", kStart, [&](Answer<model::Operation> answer) { seen = answer.value().phase; });
  EXPECT_FALSE(seen.has_value());
  book.end(*book.open("web")[0], OperationPhase::Succeeded, "", std::nullopt, {});
  EXPECT_EQ(seen, OperationPhase::Succeeded);
}

TEST(OperationBook, AnswersAWaitAtItsDeadlineWithWhatThereIs) {
  OperationBook book;
  book.add(operation("a", OperationKind::Scale, 0), false, {});
  int answers = 0;
  book.wait("a", kStart + 1s, [&](Answer<model::Operation>) { ++answers; });
  EXPECT_EQ(book.expire_waits(kStart), kStart + 1s);
  EXPECT_EQ(answers, 0);
  EXPECT_FALSE(book.expire_waits(kStart + 1s).has_value());
  EXPECT_EQ(answers, 1);
}

TEST(OperationBook, ALaterReloadSupersedesAnEarlierOne) {
  OperationBook book;
  book.add(operation("a", OperationKind::Reload, 2), false, {});
  auto superseded = book.add(operation("b", OperationKind::Reload, 3), false, {});
  ASSERT_EQ(superseded.size(), 1U);
  EXPECT_EQ(superseded[0].phase, OperationPhase::Superseded);
  EXPECT_EQ(book.open("web").size(), 1U);
}

TEST(OperationBook, AScaleLeavesAReloadInPeace) {
  OperationBook book;
  book.add(operation("a", OperationKind::Reload, 2), false, {});
  EXPECT_TRUE(book.add(operation("b", OperationKind::Scale, 0), false, {}).empty());
  EXPECT_EQ(book.open("web").size(), 2U);
}

TEST(OperationBook, StopAndDeleteSupersedeEverything) {
  OperationBook book;
  book.add(operation("a", OperationKind::Reload, 2), false, {});
  book.add(operation("b", OperationKind::Scale, 0), false, {});
  EXPECT_EQ(book.add(operation("c", OperationKind::Delete, 0), true, {}).size(), 2U);
}

TEST(OperationBook, HandsEndedOperationsOverOnce) {
  OperationBook book;
  book.add(operation("a", OperationKind::Scale, 0), false, {});
  book.end(*book.open("web")[0], OperationPhase::Succeeded, "", std::nullopt, {});
  EXPECT_EQ(book.take_changed().size(), 1U);
  EXPECT_TRUE(book.take_changed().empty());
}

TEST(OperationBook, SaysWhenAnOperationIsUnknown) {
  OperationBook book;
  std::string reason;
  book.wait("x", kStart,
            [&](Answer<model::Operation> answer) { reason = answer.rejection().error.reason; });
  EXPECT_EQ(reason, "OPERATION_NOT_FOUND");
}

}  // namespace
}  // namespace appd::reconcile
