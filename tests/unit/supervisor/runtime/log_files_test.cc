// Rotation on a real file system.
#include "supervisor/runtime/log_files.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "supervisor/runtime/log_files_reader.h"
#include "tests/support/temporary_directory.h"

namespace appd::runtime {
namespace {

using test::TemporaryDirectory;

TEST(RotateLog, MovesEachFileOnAndDropsTheLast) {
  const TemporaryDirectory directory;
  for (const char* text : {"one", "two", "three", "four"}) {
    directory.write("web.log", text);
    ASSERT_TRUE(rotate_log(directory.path("web.log"), 3));
  }
  EXPECT_FALSE(directory.has("web.log"));
  EXPECT_EQ(directory.read("web.log.1"), "four");
  EXPECT_EQ(directory.read("web.log.2"), "three");
  EXPECT_EQ(directory.read("web.log.3"), "two");
  EXPECT_FALSE(directory.has("web.log.4"));
}

TEST(RotateLog, WhoHasTheFileOpenGoesOnWritingToIt) {
  const TemporaryDirectory directory;
  auto file = open_log(directory.path("web.log"));
  ASSERT_TRUE(file);
  ASSERT_TRUE(rotate_log(directory.path("web.log"), 1));
  ASSERT_EQ(::write(file->get(), "late", 4), 4);
  EXPECT_EQ(directory.read("web.log.1"), "late");
}

TEST(RotateLog, KeepingNoneRemovesTheFile) {
  const TemporaryDirectory directory;
  directory.write("web.log", "x");
  ASSERT_TRUE(rotate_log(directory.path("web.log"), 0));
  EXPECT_FALSE(directory.has("web.log"));
  EXPECT_FALSE(directory.has("web.log.1"));
}

// An appd that died in the middle of a rotation.
TEST(RotateLog, AGapClosesByItself) {
  const TemporaryDirectory directory;
  directory.write("web.log", "new");
  directory.write("web.log.2", "old");
  ASSERT_TRUE(rotate_log(directory.path("web.log"), 3));
  EXPECT_EQ(directory.read("web.log.1"), "new");
  EXPECT_EQ(directory.read("web.log.3"), "old");
}

// Each step of a rotation leaves one number out, from the last to that of the log itself.
TEST(OldestLog, IsFoundInTheMiddleOfARotation) {
  for (int missing = 0; missing <= 3; ++missing) {
    const TemporaryDirectory directory;
    for (int number = 0; number <= 4; ++number) {
      if (number != missing) directory.write(rotated_name("web.log", number), "x");
    }
    const auto oldest = stat_log(directory.path("web.log.4"));
    ASSERT_TRUE(oldest);
    EXPECT_EQ(oldest_log(directory.path("web.log")), 4) << "without " << missing;
    EXPECT_EQ(find_log(directory.path("web.log"), oldest->identity), 4) << "without " << missing;
  }
}

TEST(RotateLog, FewerAreKeptFromNowOn) {
  const TemporaryDirectory directory;
  for (int number = 1; number <= 5; ++number) {
    directory.write("web.log." + std::to_string(number), "x");
  }
  trim_logs(directory.path("web.log"), 2);
  EXPECT_TRUE(directory.has("web.log.2"));
  EXPECT_FALSE(directory.has("web.log.3"));
  EXPECT_FALSE(directory.has("web.log.5"));
}

TEST(RotateLog, SaysWhyItCannot) {
  const auto rotated = rotate_log("/dev/null/web.log", 3);
  ASSERT_FALSE(rotated);
  EXPECT_NE(rotated.error().message.find("/dev/null/web.log"), std::string::npos);
}

TEST(OpenLog, NeverFollowsALink) {
  const TemporaryDirectory directory;
  directory.write("other", "x");
  ASSERT_EQ(::symlink(directory.path("other").c_str(), directory.path("web.log").c_str()), 0);
  EXPECT_FALSE(open_log(directory.path("web.log")));
}

}  // namespace
}  // namespace appd::runtime
