// What the kernel's files say of OOM kills.
#include "worker/net/oom_record.h"

#include <gtest/gtest.h>

namespace appd::net {
namespace {

TEST(OomRecord, FindsTheCountOfKillsAndNotThatOfEvents) {
  EXPECT_EQ(oom_kills_in("low 0\nhigh 3\nmax 9\noom 7\noom_kill 2\noom_group_kill 1\n"), 2U);
  EXPECT_EQ(oom_kills_in("oom_kill_disable 0\nunder_oom 0\noom_kill 5\n"), 5U);
  EXPECT_EQ(oom_kills_in("oom_kill_disable 0\n"), std::nullopt);
  EXPECT_EQ(oom_kills_in("oom_kill x\n"), std::nullopt);
  EXPECT_EQ(oom_kills_in(""), std::nullopt);
}

TEST(OomRecord, KnowsWhereTheCountersOfVersion2Are) {
  EXPECT_EQ(
      oom_counter_paths("0::/system.slice/appd.service\n"),
      (std::vector<std::string>{"/sys/fs/cgroup/system.slice/appd.service/memory.events",
                                "/sys/fs/cgroup/unified/system.slice/appd.service/memory.events"}));
}

TEST(OomRecord, PrefersTheMemoryControllerOfVersion1) {
  auto paths = oom_counter_paths("5:devices:/x\n4:memory:/job\n0::/\n");
  ASSERT_FALSE(paths.empty());
  EXPECT_EQ(paths.front(), "/sys/fs/cgroup/memory/job/memory.oom_control");
}

TEST(OomRecord, IgnoresLinesThatAreNone) {
  EXPECT_TRUE(oom_counter_paths("nonsense\n:\n").empty());
  EXPECT_TRUE(oom_counter_paths("").empty());
}

TEST(OomRecord, ReadsTheKernelsLogByPidAndTime) {
  constexpr std::string_view kRecord =
      "3,1070,5000000,-;Memory cgroup out of memory: Killed process 4242 (appd:web:1) "
      "total-vm:1kB\n";
  EXPECT_TRUE(kernel_log_tells_of(kRecord, 4242, 4'000'000));
  EXPECT_FALSE(kernel_log_tells_of(kRecord, 424, 4'000'000));
  EXPECT_FALSE(kernel_log_tells_of(kRecord, 4242, 5'000'001)) << "of an earlier owner of the pid";
  EXPECT_FALSE(kernel_log_tells_of("garbage", 4242, 0));
  EXPECT_FALSE(kernel_log_tells_of("", 4242, 0));
}

}  // namespace
}  // namespace appd::net
