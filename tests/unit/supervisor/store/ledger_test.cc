// What is written is what is read, and nothing else is.
#include "supervisor/store/ledger.h"

#include <gtest/gtest.h>

#include "tests/support/temporary_directory.h"

namespace appd::store {
namespace {

Books books() {
  Books books;
  books.calls[{"appd.v1.Apps/GetApp", "NOT_FOUND"}] = 4;
  AppBooks& app = books.apps["uid-1"];
  app.ended.counts.requests = 18'000'000'000'000'000'000U;
  app.ended.counts.lock_wait_ns = 7;
  app.ended.cpu = std::chrono::nanoseconds(1'234);
  app.ended.exits.back() = 5;
  app.ended.operations[5][3] = 6;
  app.ended.failures[9] = 2;
  app.ended.recycled = 1;
  app.ended.log_lost_bytes = 99;
  app.boards[0xffff'ffff'ffff'ffffU].counts.latency[31] = 8;
  books.apps["uid-2"];
  return books;
}

TEST(Ledger, GivesBackWhatItWasGiven) {
  EXPECT_EQ(decode(encode(books(), "boot-1"), "boot-1"), books());
}

TEST(Ledger, IsWorthNothingAfterARestartOfTheHost) {
  EXPECT_EQ(decode(encode(books(), "boot-1"), "boot-2"), Books());
  EXPECT_EQ(decode(encode(books(), ""), ""), Books());
}

TEST(Ledger, PassesOverWhatItDoesNotKnow) {
  EXPECT_EQ(decode("no ledger", "boot-1"), Books());
  EXPECT_EQ(decode("", "boot-1"), Books());
  const Books read = decode(
      "appd-counters boot-1\n"
      "counts 1 2 3\nboard 5\n"  // of no app
      "app uid-1\nlater 1 2 3\nexits 1 x\ncounts 5\n\n",
      "boot-1");
  ASSERT_EQ(read.apps.size(), 1U);
  EXPECT_EQ(read.apps.at("uid-1").ended.counts.requests, 5U);
  EXPECT_EQ(read.apps.at("uid-1").ended.exits[0], 1);
}

TEST(Ledger, IsWrittenWholeOrNotAtAll) {
  test::TemporaryDirectory folder;
  const std::string path = folder.path() + "/counters";
  EXPECT_EQ(load_books(path), Books());
  ASSERT_TRUE(save_books(path, books()));
  EXPECT_EQ(load_books(path), books());
  EXPECT_FALSE(save_books(folder.path() + "/none/counters", books()));
}

}  // namespace
}  // namespace appd::store
