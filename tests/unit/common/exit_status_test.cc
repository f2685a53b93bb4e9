// Wait statuses in words.
#include "common/exit_status.h"

#include <gtest/gtest.h>
#include <signal.h>

namespace appd {
namespace {

TEST(ExitStatus, IsDescribed) {
  EXPECT_EQ(describe_exit(0x0300), "exited with status 3");
  EXPECT_EQ(describe_exit(SIGTERM), "was killed by signal 15 (SIGTERM)");
}

}  // namespace
}  // namespace appd
