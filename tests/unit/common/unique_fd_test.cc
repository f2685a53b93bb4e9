// UniqueFd closes what it owns, once.
#include "common/unique_fd.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <utility>

namespace appd {
namespace {

int open_null() { return ::open("/dev/null", O_RDONLY | O_CLOEXEC); }
bool is_open(int fd) { return ::fcntl(fd, F_GETFD) >= 0; }

TEST(UniqueFd, ClosesAtTheEndOfItsLife) {
  int raw = open_null();
  {
    UniqueFd fd(raw);
    EXPECT_TRUE(fd.valid());
    EXPECT_TRUE(is_open(raw));
  }
  EXPECT_FALSE(is_open(raw));
}

TEST(UniqueFd, MovingPassesTheDescriptorOn) {
  UniqueFd from(open_null());
  int raw = from.get();
  UniqueFd to(std::move(from));
  EXPECT_EQ(to.get(), raw);
  EXPECT_FALSE(from.valid());  // NOLINT(bugprone-use-after-move): this is what is tested
  UniqueFd other(open_null());
  int replaced = other.get();
  other = std::move(to);
  EXPECT_FALSE(is_open(replaced));
  EXPECT_TRUE(is_open(raw));
}

TEST(UniqueFd, AssigningItToItselfKeepsItOpen) {
  UniqueFd fd(open_null());
  UniqueFd& same = fd;
  fd = std::move(same);
  EXPECT_TRUE(is_open(fd.get()));
}

TEST(UniqueFd, ReleaseGivesUpOwnership) {
  UniqueFd fd(open_null());
  int raw = fd.release();
  EXPECT_FALSE(fd);
  EXPECT_TRUE(is_open(raw));
  ::close(raw);
}

TEST(UniqueFd, EmptyOneClosesNothing) {
  UniqueFd fd;
  fd.reset();
  EXPECT_FALSE(fd.valid());
  EXPECT_TRUE(is_open(STDERR_FILENO));
}

}  // namespace
}  // namespace appd
