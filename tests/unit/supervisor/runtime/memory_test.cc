// What is read of the kernel's files about memory.
#include "supervisor/runtime/memory.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace appd::runtime {
namespace {

// A /proc and a /sys/fs/cgroup made by hand; removed at the end.
class Memory : public testing::Test {
 protected:
  Memory() {
    std::string pattern = (std::filesystem::temp_directory_path() / "appd-memory-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) std::abort();
    directory_ = pattern;
    write("proc/meminfo", "MemTotal:  4000 kB\nMemFree: 1 kB\nMemAvailable:    2000 kB\n");
  }
  ~Memory() override { std::filesystem::remove_all(directory_); }

  void write(const std::string& name, const std::string& text) {
    std::filesystem::path path = directory_ + "/" + name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << text;
  }
  std::int64_t available() const {
    return available_memory(directory_ + "/proc", directory_ + "/cgroup");
  }

  std::string directory_;
};

TEST_F(Memory, OfAHostWithoutCgroupsIsWhatIsAvailable) { EXPECT_EQ(available(), 2000 * 1024); }

TEST_F(Memory, IsWhatTheCgroupHasLeftAndItsCache) {
  write("proc/self/cgroup", "0::/system.slice/appd.service\n");
  write("cgroup/system.slice/appd.service/memory.max", "1000000\n");
  write("cgroup/system.slice/appd.service/memory.current", "900000\n");
  write("cgroup/system.slice/appd.service/memory.stat", "anon 1\ninactive_file 50000\n");
  EXPECT_EQ(available(), 150'000);
}

TEST_F(Memory, IsBoundedByEveryFolderAbove) {
  write("proc/self/cgroup", "0::/system.slice/appd.service\n");
  write("cgroup/system.slice/appd.service/memory.max", "max\n");
  write("cgroup/system.slice/appd.service/memory.current", "900000\n");
  write("cgroup/system.slice/memory.max", "1000000\n");
  write("cgroup/system.slice/memory.current", "1000001\n");
  EXPECT_EQ(available(), 0);
}

TEST_F(Memory, OfVersion1CgroupsCountsToo) {
  write("proc/self/cgroup", "5:cpu,cpuacct:/x\n4:memory:/box\n0::/\n");
  write("cgroup/memory/box/memory.limit_in_bytes", "1000000\n");
  write("cgroup/memory/box/memory.usage_in_bytes", "400000\n");
  write("cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  write("cgroup/memory/memory.usage_in_bytes", "1\n");
  EXPECT_EQ(available(), 600'000);
}

TEST_F(Memory, OfThisProcessCanBeRead) {
  auto memory = read_memory(::getpid());
  ASSERT_TRUE(memory);
  EXPECT_GT(memory->share, 0);
  EXPECT_GT(memory->own, 0);
  EXPECT_FALSE(read_memory(0));
}

}  // namespace
}  // namespace appd::runtime
