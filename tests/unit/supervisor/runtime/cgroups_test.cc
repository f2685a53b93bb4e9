// What is written to cgroups, on files that look like them, and where appd keeps its hands off.
#include "supervisor/runtime/cgroups.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "tests/support/temporary_directory.h"

namespace appd::runtime {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kMiB = 1 << 20;

CgroupLimits only_pids(std::int64_t most) {
  CgroupLimits limits;
  limits.pids = most;
  return limits;
}

// A /proc and a cgroup file system made by hand, with the files that the kernel would make.
class CgroupsTest : public testing::Test {
 protected:
  CgroupsTest() {
    write("proc/self/mountinfo", "22 1 8:1 / / rw - ext4 /dev/vda rw\n30 22 0:26 / " + directory_ +
                                     "/fs rw,relatime shared:4 - cgroup2 cgroup2 rw\n");
  }

  void write(const std::string& name, const std::string& text) {
    const fs::path path = directory_ + "/" + name;
    fs::create_directories(path.parent_path());
    std::ofstream(path) << text;
  }
  std::string read(const std::string& name) const {
    std::ifstream file(directory_ + "/" + name);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  // A cgroup below fs/ that may be divided, with one for web.
  void make_base(const std::string& base, const std::string& controllers) {
    write(base + "/cgroup.controllers", controllers + "\n");
    write(base + "/cgroup.subtree_control", "");
    write(base + "/cgroup.procs", "");
    write(base + "/supervisor/cgroup.procs", "");
    for (const char* file : {"memory.max", "memory.high", "cpu.max", "pids.max", "cgroup.procs"}) {
      write(base + "/app-web/" + file, "");
    }
  }
  void be_in(const std::string& path) {
    write("proc/self/cgroup", "4:memory:/elsewhere\n0::" + path + "\n");
  }
  Cgroups prepare() const { return Cgroups::of_this_process(directory_ + "/proc"); }
  // Why nothing can be limited.
  std::string missing() const { return prepare().lacking({kMiB, 0, 0}); }

  const test::TemporaryDirectory temporary_;
  const std::string directory_ = temporary_.path();
};

TEST_F(CgroupsTest, InItsOwnNamespaceAppdMovesAside) {
  be_in("/");
  make_base("fs", "cpuset cpu io memory pids");
  write("fs/cgroup.procs", std::to_string(::getpid()) + "\n");
  EXPECT_EQ(missing(), "");
  EXPECT_EQ(read("fs/supervisor/cgroup.procs"), "0");
  EXPECT_EQ(read("fs/cgroup.subtree_control"), "+memory +cpu +pids");
}

TEST_F(CgroupsTest, WhereSystemdHasPutItAsideItStays) {
  be_in("/system.slice/appd.service/supervisor");
  make_base("fs/system.slice/appd.service", "cpu memory");
  EXPECT_EQ(missing(), "");
  EXPECT_EQ(read("fs/system.slice/appd.service/supervisor/cgroup.procs"), "");
  EXPECT_EQ(read("fs/system.slice/appd.service/cgroup.subtree_control"), "+memory +cpu");
}

TEST_F(CgroupsTest, UnitsAndSessionsOfSystemdAreNotDivided) {
  for (const std::string path : {"/system.slice/appd.service", "/user.slice/session-1.scope"}) {
    be_in(path);
    make_base("fs" + path, "cpu memory");
    EXPECT_NE(missing().find("DelegateSubgroup=supervisor"), std::string::npos) << missing();
    EXPECT_EQ(read("fs" + path + "/cgroup.subtree_control"), "");
  }
}

TEST_F(CgroupsTest, WhatIsMountedOfAContainerIsFound) {
  write("proc/self/mountinfo",
        "30 22 0:26 /docker/4711 " + directory_ + "/fs rw - cgroup2 cgroup2 rw\n");
  be_in("/docker/4711/appd");
  make_base("fs/appd", "cpu memory");
  EXPECT_EQ(missing(), "");
  EXPECT_EQ(read("fs/appd/supervisor/cgroup.procs"), "0");
}

TEST_F(CgroupsTest, NothingIsTouchedWhereOthersAre) {
  be_in("/box");
  make_base("fs/box", "cpu memory");
  write("fs/box/cgroup.procs", "1\n" + std::to_string(::getpid()) + "\n");
  EXPECT_NE(missing().find("like pid 1"), std::string::npos) << missing();
  EXPECT_EQ(read("fs/box/cgroup.subtree_control"), "");
  EXPECT_EQ(read("fs/box/supervisor/cgroup.procs"), "");
}

TEST_F(CgroupsTest, WithoutVersion2OrItsControllersNothingIsLimited) {
  be_in("/");
  make_base("fs", "hugetlb io");
  EXPECT_NE(missing().find("no controller of memory, cpu or pids"), std::string::npos);
  write("proc/self/mountinfo", "22 1 8:1 / / rw - ext4 /dev/vda rw\n");
  EXPECT_NE(missing().find("no cgroups of version 2"), std::string::npos);
  const Cgroups none = prepare();
  EXPECT_EQ(none.join_file("web"), "");
  EXPECT_TRUE(none.set("web", {kMiB, 0, 0}));
  EXPECT_EQ(none.out_of_memory("web"), std::nullopt);
  EXPECT_EQ(none.lacking({}), "") << "who wants no limit lacks none";
}

TEST_F(CgroupsTest, AnotherBaseIsTakenAsItIs) {
  make_base("fs/appd.slice", "cpu memory");
  const Cgroups cgroups = Cgroups::below(directory_ + "/fs/appd.slice");
  EXPECT_EQ(cgroups.lacking({kMiB, 0, 1}), "");
  EXPECT_EQ(cgroups.base(), directory_ + "/fs/appd.slice");
  EXPECT_EQ(read("fs/appd.slice/supervisor/cgroup.procs"), "");
  EXPECT_NE(Cgroups::below(directory_ + "/nowhere").lacking({kMiB, 0, 0}), "");
  write("fs/appd.slice/cgroup.procs", std::to_string(::getpid()) + "\n");
  EXPECT_NE(Cgroups::below(directory_ + "/fs/appd.slice").lacking({kMiB, 0, 0}), "");
}

TEST_F(CgroupsTest, OneControllerIsBetterThanNone) {
  be_in("/");
  make_base("fs", "memory");
  const Cgroups cgroups = prepare();
  EXPECT_EQ(read("fs/cgroup.subtree_control"), "+memory");
  EXPECT_EQ(cgroups.lacking({kMiB, 0, 0}), "");
  EXPECT_NE(cgroups.lacking({kMiB, 0, 0.5}).find("no cpu controller"), std::string::npos);
  ASSERT_TRUE(cgroups.set("web", {kMiB, 0, 0.5}));
  EXPECT_EQ(read("fs/app-web/memory.max"), "1048576");
  EXPECT_EQ(read("fs/app-web/cpu.max"), "");
  make_base("fs", "pids");
  const Cgroups pids = prepare();
  EXPECT_EQ(read("fs/cgroup.subtree_control"), "+pids");
  EXPECT_NE(pids.lacking({kMiB, 0, 0}).find("no memory controller"), std::string::npos);
  ASSERT_TRUE(pids.set("web", only_pids(64)));
  EXPECT_EQ(read("fs/app-web/pids.max"), "64");
}

TEST_F(CgroupsTest, LimitsAreWrittenAsTheKernelReadsThem) {
  be_in("/");
  make_base("fs", "cpu memory pids");
  const Cgroups cgroups = prepare();
  ASSERT_TRUE(cgroups.set("web", {512 * kMiB, 384 * kMiB, 1.5, 64}));
  EXPECT_EQ(read("fs/app-web/memory.max"), "536870912");
  EXPECT_EQ(read("fs/app-web/memory.high"), "402653184");
  EXPECT_EQ(read("fs/app-web/cpu.max"), "150000 100000");
  EXPECT_EQ(read("fs/app-web/pids.max"), "64");
  make_base("fs", "cpu memory pids");
  ASSERT_TRUE(cgroups.set("web", {}));
  EXPECT_EQ(read("fs/app-web/memory.max"), "max");
  EXPECT_EQ(read("fs/app-web/memory.high"), "max");
  EXPECT_EQ(read("fs/app-web/cpu.max"), "max 100000");
  EXPECT_EQ(read("fs/app-web/pids.max"), "max");
  EXPECT_EQ(cgroups.join_file("web"), directory_ + "/fs/app-web/cgroup.procs");
}

TEST_F(CgroupsTest, WhatTheKernelRefusesIsSaid) {
  be_in("/");
  make_base("fs", "cpu memory");
  const Cgroups cgroups = prepare();
  const auto refused = cgroups.set("fresh", {kMiB, 0, 0});  // no kernel fills its folder
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("app-fresh/memory.high"), std::string::npos);
  EXPECT_TRUE(fs::is_directory(directory_ + "/fs/app-fresh"));
  cgroups.remove("fresh");
  EXPECT_FALSE(fs::exists(directory_ + "/fs/app-fresh"));
}

TEST_F(CgroupsTest, LimitsThatAreRequiredAreWrittenOrRefused) {
  be_in("/");
  make_base("fs", "memory");
  const Cgroups cgroups = prepare();
  EXPECT_TRUE(cgroups.require("web", {kMiB, 0, 0}));
  EXPECT_EQ(read("fs/app-web/memory.max"), "1048576");
  const auto refused = cgroups.require("web", only_pids(64));
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("no pids controller"), std::string::npos);
  EXPECT_FALSE(cgroups.require("fresh", {kMiB, 0, 0})) << "it cannot be written";
  EXPECT_TRUE(cgroups.require("web", {}));
  write("proc/self/mountinfo", "22 1 8:1 / / rw - ext4 /dev/vda rw\n");
  EXPECT_FALSE(prepare().require("web", only_pids(64)));
  EXPECT_TRUE(prepare().require("web", {})) << "there is nothing to keep";
}

TEST_F(CgroupsTest, GroupsOfAppsThatAreGoneAreRemoved) {
  be_in("/");
  make_base("fs", "cpu memory");
  fs::create_directories(directory_ + "/fs/app-old");
  fs::create_directories(directory_ + "/fs/app-kept");
  fs::create_directories(directory_ + "/fs/other");
  prepare().remove_others({"web", "kept"});
  EXPECT_FALSE(fs::exists(directory_ + "/fs/app-old"));
  EXPECT_TRUE(fs::exists(directory_ + "/fs/app-kept"));
  EXPECT_TRUE(fs::exists(directory_ + "/fs/other"));
}

TEST_F(CgroupsTest, TheEndOfMemoryIsCounted) {
  be_in("/");
  make_base("fs", "cpu memory");
  const Cgroups cgroups = prepare();
  EXPECT_EQ(cgroups.out_of_memory("web"), std::nullopt);
  write("fs/app-web/memory.events", "low 0\nhigh 3\nmax 40\noom 2\noom_kill 5\n");
  EXPECT_EQ(cgroups.out_of_memory("web"), 2);
}

TEST_F(CgroupsTest, RefusedProcessesAndThreadsAreCounted) {
  be_in("/");
  make_base("fs", "pids");
  const Cgroups cgroups = prepare();
  EXPECT_EQ(cgroups.refused_pids("web"), std::nullopt);
  write("fs/app-web/pids.events", "max 7\n");
  EXPECT_EQ(cgroups.refused_pids("web"), 7);
}

}  // namespace
}  // namespace appd::runtime
