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

// As the core does: what it supersedes is stored with it, and then in the book.
std::vector<model::Operation> begin(OperationBook& book, const model::Operation& operation,
                                    bool all = false) {
  auto superseded = book.superseded_by(operation, all, {});
  book.add(operation, superseded);
  return superseded;
}

TEST(OperationBook, AnswersAWaitOnlyWhenTheEndIsStored) {
  OperationBook book;
  begin(book, operation("a", OperationKind::Scale, 0));
  std::optional<OperationPhase> seen;
  book.wait("a", kStart, [&](Answer<model::Operation> answer) { seen = answer.value().phase; });
  EXPECT_FALSE(seen.has_value());
  book.end(*book.open("web")[0], OperationPhase::Succeeded, "", std::nullopt, {});
  EXPECT_FALSE(seen.has_value());
  book.tell(book.take_changed());
  EXPECT_EQ(seen, OperationPhase::Succeeded);
}

TEST(OperationBook, AnswersAWaitForWhatHasEndedInTheStoreAlready) {
  OperationBook book;
  begin(book, operation("a", OperationKind::Reload, 2));
  std::optional<OperationPhase> seen;
  book.wait("a", kStart, [&](Answer<model::Operation> answer) { seen = answer.value().phase; });
  model::Operation ended = *book.find("a");
  ended.phase = OperationPhase::Cancelled;
  book.replace(ended);
  EXPECT_EQ(seen, OperationPhase::Cancelled);
  EXPECT_TRUE(book.open("web").empty());
  EXPECT_TRUE(book.take_changed().empty());
}

TEST(OperationBook, AnswersAWaitAtItsDeadlineWithWhatThereIs) {
  OperationBook book;
  begin(book, operation("a", OperationKind::Scale, 0));
  int answers = 0;
  book.wait("a", kStart + 1s, [&](Answer<model::Operation>) { ++answers; });
  EXPECT_EQ(book.expire_waits(kStart), kStart + 1s);
  EXPECT_EQ(answers, 0);
  EXPECT_FALSE(book.expire_waits(kStart + 1s).has_value());
  EXPECT_EQ(answers, 1);
}

TEST(OperationBook, ALaterReloadSupersedesAnEarlierOne) {
  OperationBook book;
  begin(book, operation("a", OperationKind::Reload, 2));
  auto superseded = begin(book, operation("b", OperationKind::Reload, 3));
  ASSERT_EQ(superseded.size(), 1U);
  EXPECT_EQ(superseded[0].phase, OperationPhase::Superseded);
  EXPECT_EQ(book.open("web").size(), 1U);
}

TEST(OperationBook, AScaleLeavesAReloadInPeace) {
  OperationBook book;
  begin(book, operation("a", OperationKind::Reload, 2));
  EXPECT_TRUE(begin(book, operation("b", OperationKind::Scale, 0)).empty());
  EXPECT_EQ(book.open("web").size(), 2U);
}

TEST(OperationBook, StopAndDeleteSupersedeEverything) {
  OperationBook book;
  begin(book, operation("a", OperationKind::Reload, 2));
  begin(book, operation("b", OperationKind::Scale, 0));
  EXPECT_EQ(begin(book, operation("c", OperationKind::Delete, 0), true).size(), 2U);
}

TEST(OperationBook, HandsEndedOperationsOverOnce) {
  OperationBook book;
  begin(book, operation("a", OperationKind::Scale, 0));
  book.end(*book.open("web")[0], OperationPhase::Succeeded, "", std::nullopt, {});
  EXPECT_EQ(book.take_changed().size(), 1U);
  EXPECT_TRUE(book.take_changed().empty());
}

TEST(OperationBook, HandsOverAgainWhatCouldNotBeStoredBeforeWhatEndedLater) {
  OperationBook book;
  for (const char* id : {"a", "b"}) {
    begin(book, operation(id, OperationKind::Scale, 0));
    book.end(*book.open("web")[0], OperationPhase::Succeeded, "", std::nullopt, {});
    if (id[0] == 'a') book.give_back(book.take_changed());
  }
  auto ended = book.take_changed();
  ASSERT_EQ(ended.size(), 2U);
  EXPECT_EQ(ended[0].id, "a");
  EXPECT_EQ(ended[1].id, "b");
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
