// The end of a log, on a real file system.
#include <gtest/gtest.h>

#include "supervisor/runtime/output.h"
#include "tests/support/temporary_directory.h"

namespace appd::runtime {
namespace {

class LogTail : public testing::Test {
 protected:
  LogMark mark() const {
    auto file = open_log(path_);
    return log_mark(file->get());
  }
  void rotate() const { ASSERT_TRUE(rotate_log(path_, 5)); }

  test::TemporaryDirectory directory_;
  const std::string path_ = directory_.path("web.log");
};

TEST_F(LogTail, IsWhatWasWrittenBehindTheMark) {
  directory_.write("web.log", "before\n");
  const LogMark from = mark();
  EXPECT_EQ(log_tail(path_, from), "");
  directory_.write("web.log", "2026-11-25T00:31:07.123Z 7/3 after\x1b\n");
  EXPECT_EQ(log_tail(path_, from), "after?\n");
  EXPECT_EQ(log_tail(path_), "before\nafter?\n");
}

TEST_F(LogTail, GoesOnThroughARotation) {
  directory_.write("web.log", "before\n");
  const LogMark from = mark();
  directory_.write("web.log", "one\n");
  rotate();
  EXPECT_EQ(log_tail(path_, from), "one\n");
  directory_.write("web.log", "two\n");
  EXPECT_EQ(log_tail(path_, from), "one\ntwo\n");
}

TEST_F(LogTail, IsBounded) {
  directory_.write("web.log", std::string(4090, 'a'));
  rotate();
  directory_.write("web.log", std::string(10, 'b'));
  EXPECT_EQ(log_tail(path_), std::string(4086, 'a') + std::string(10, 'b'));
}

TEST_F(LogTail, OfNoLogIsEmpty) {
  EXPECT_EQ(log_tail(path_), "");
  EXPECT_EQ(log_tail(""), "");
}

}  // namespace
}  // namespace appd::runtime
