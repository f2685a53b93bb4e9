// Result, Error and TRY.
#include "common/result.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <memory>

namespace appd {
namespace {

Error broken() { return Error{ErrorCode::NotFound, "BROKEN", "it is broken", 0}; }

Result<int> number(bool works) {
  if (!works) return broken();
  return 7;
}

Result<std::string> describe(bool works) {
  int value = TRY(number(works));
  return "got " + std::to_string(value);
}

Result<void> only_check(bool works) {
  TRY(number(works));
  return {};
}

TEST(Result, CarriesAValueOrAnError) {
  EXPECT_TRUE(number(true).has_value());
  EXPECT_EQ(*number(true), 7);
  auto failed = number(false);
  EXPECT_FALSE(failed);
  EXPECT_EQ(failed.error().code, ErrorCode::NotFound);
  EXPECT_EQ(failed.error().reason, "BROKEN");
}

TEST(Result, TryYieldsTheValueOrReturnsTheError) {
  EXPECT_EQ(*describe(true), "got 7");
  EXPECT_EQ(describe(false).error().reason, "BROKEN");
  EXPECT_TRUE(only_check(true));
  EXPECT_FALSE(only_check(false));
}

TEST(Result, HoldsWhatCannotBeCopied) {
  Result<std::unique_ptr<int>> result(std::make_unique<int>(3));
  std::unique_ptr<int> taken = std::move(result).value();
  EXPECT_EQ(*taken, 3);
}

TEST(Error, ContextIsPutBeforeTheMessage) {
  Error error = broken().context("open store").context("start");
  EXPECT_EQ(error.message, "start: open store: it is broken");
  EXPECT_EQ(error.reason, "BROKEN");
}

TEST(SysError, KeepsErrnoAndNamesIt) {
  Error error = sys_error("OPEN", "open file", ENOENT);
  EXPECT_EQ(error.sys_errno, ENOENT);
  EXPECT_EQ(error.code, ErrorCode::Internal);
  EXPECT_EQ(error.message, "open file: No such file or directory");
}

TEST(SysError, MapsExhaustionSoThatTheApiCanSaySo) {
  for (int fault : {ENOMEM, EMFILE, ENFILE, ENOSPC, EAGAIN, EDQUOT}) {
    EXPECT_EQ(sys_error("X", "do", fault).code, ErrorCode::ResourceExhausted) << fault;
  }
}

TEST(CheckDeathTest, DiesWithOneLineThatNamesTheCondition) {
  EXPECT_DEATH(APPD_CHECK(1 + 1 == 3), "level=error event=check_failed .*1 \\+ 1 == 3");
}

}  // namespace
}  // namespace appd
