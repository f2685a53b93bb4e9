// The keeper's thread on a real directory: what it does of itself when files grow, go and change.
#include "supervisor/runtime/log_keeper.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>

#include "tests/support/eventually.h"
#include "tests/support/temporary_directory.h"

namespace appd::runtime {
namespace {

using test::eventually;

constexpr std::int64_t kLimit = 1000;

class LogKeeperTest : public testing::Test {
 protected:
  LogKeeperTest() {
    auto keeper = LogKeeper::start(directory_.path(),
                                   {[this](const std::string&, std::vector<UniqueFd> files) {
                                      const std::lock_guard lock(mutex_);
                                      files_ = std::move(files);
                                      ++renewals_;
                                    },
                                    [this](const std::string&, const Error&) { ++failures_; }});
    APPD_CHECK(keeper.has_value());
    keeper_ = *std::move(keeper);
  }

  KeptLogs logs(bool access = false) const {
    return {{directory_.path("web.log"), directory_.path("web.access.log")},
            {kLimit, std::chrono::milliseconds(0), 3},
            access};
  }
  void keep(bool access = false) {
    keeper_->keep("web", logs(access));
    ASSERT_TRUE(eventually([&] { return renewals_ > 0; }));
  }
  // As the app does, to the file that it was given last.
  void app_writes(const std::string& text, std::size_t which = 0) {
    const std::lock_guard lock(mutex_);
    ASSERT_EQ(::write(files_.at(which).get(), text.data(), text.size()),
              static_cast<ssize_t>(text.size()));
  }
  bool renewed(int times) {
    return eventually([&] { return renewals_ == times; });
  }

  test::TemporaryDirectory directory_;
  std::mutex mutex_;  // guards files_
  std::vector<UniqueFd> files_;
  std::atomic<int> renewals_ = 0;
  std::atomic<int> failures_ = 0;
  std::unique_ptr<LogKeeper> keeper_;
};

TEST_F(LogKeeperTest, MakesTheFilesAndHandsThemOut) {
  keep(true);
  app_writes("line\n");
  app_writes("request\n", 1);
  EXPECT_EQ(directory_.read("web.log"), "line\n");
  EXPECT_EQ(directory_.read("web.access.log"), "request\n");
}

TEST_F(LogKeeperTest, RotatesEachLogByItself) {
  keep(true);
  app_writes(std::string(kLimit, 'x'), 1);
  ASSERT_TRUE(renewed(2));
  EXPECT_EQ(directory_.read("web.access.log.1").size(), kLimit);
  EXPECT_FALSE(directory_.has("web.log.1"));
  app_writes("next\n", 1);
  EXPECT_EQ(directory_.read("web.access.log"), "next\n");
}

TEST_F(LogKeeperTest, RotatesAgainAndAgain) {
  keep();
  for (int round = 1; round <= 5; ++round) {
    app_writes(std::string(kLimit, static_cast<char>('0' + round)));
    ASSERT_TRUE(renewed(1 + round)) << round;
  }
  EXPECT_EQ(directory_.read("web.log.1"), std::string(kLimit, '5'));
  EXPECT_EQ(directory_.read("web.log.3"), std::string(kLimit, '3'));
  EXPECT_FALSE(directory_.has("web.log.4"));
}

TEST_F(LogKeeperTest, WhatIsTooLargeAlreadyIsRotatedAtOnce) {
  directory_.write("web.log", std::string(kLimit * 2, 'x'));
  keep();
  ASSERT_TRUE(renewed(2));
  EXPECT_EQ(directory_.read("web.log.1").size(), kLimit * 2);
}

TEST_F(LogKeeperTest, ADeletedFileIsMadeAnew) {
  keep();
  app_writes("before\n");
  std::filesystem::remove(directory_.path("web.log"));
  ASSERT_TRUE(renewed(2));
  app_writes("after\n");
  EXPECT_EQ(directory_.read("web.log"), "after\n");
}

TEST_F(LogKeeperTest, ARenamedFileIsMadeAnewAndTheOldOneLeftAlone) {
  keep();
  app_writes("before\n");
  std::filesystem::rename(directory_.path("web.log"), directory_.path("web.log-20261125"));
  ASSERT_TRUE(renewed(2));
  app_writes("after\n");
  EXPECT_EQ(directory_.read("web.log"), "after\n");
  EXPECT_EQ(directory_.read("web.log-20261125"), "before\n");
}

TEST_F(LogKeeperTest, AFileThatSomebodyElseHasMadeIsTaken) {
  keep();
  std::filesystem::rename(directory_.path("web.log"), directory_.path("old"));
  directory_.write("web.log", "made by logrotate\n");
  ASSERT_TRUE(renewed(2));
  app_writes("after\n");
  EXPECT_EQ(directory_.read("web.log"), "made by logrotate\nafter\n");
}

TEST_F(LogKeeperTest, ADeletedDirectoryIsMadeAnew) {
  keep();
  std::filesystem::remove_all(directory_.path());
  ASSERT_TRUE(eventually([&] { return renewals_ >= 2 && directory_.has("web.log"); }));
  app_writes("after\n");
  EXPECT_TRUE(eventually([&] { return directory_.read("web.log") == "after\n"; }));
  app_writes(std::string(kLimit, 'x'));
  EXPECT_TRUE(eventually([&] { return directory_.has("web.log.1"); })) << "it is watched again";
}

TEST_F(LogKeeperTest, ATruncatedFileIsNoReasonForAnything) {
  keep();
  app_writes(std::string(kLimit / 2, 'x'));
  std::filesystem::resize_file(directory_.path("web.log"), 0);  // logrotate's copytruncate
  app_writes("after\n");
  EXPECT_EQ(directory_.read("web.log"), "after\n") << "not at the former offset";
  EXPECT_EQ(renewals_, 1);
}

TEST_F(LogKeeperTest, ReopensWhenAsked) {
  keep();
  std::atomic<bool> done = false;
  keeper_->reopen("", [&] { done = true; });
  ASSERT_TRUE(eventually([&] { return done.load(); }));
  EXPECT_EQ(renewals_, 2);
  keeper_->reopen("other", [&] { done = false; });
  ASSERT_TRUE(eventually([&] { return !done.load(); }));
  EXPECT_EQ(renewals_, 2);
}

TEST_F(LogKeeperTest, AForgottenAppIsLeftAlone) {
  keep();
  keeper_->forget("web");
  app_writes(std::string(kLimit, 'x'));
  std::atomic<bool> done = false;
  keeper_->reopen("", [&] { done = true; });
  ASSERT_TRUE(eventually([&] { return done.load(); }));
  EXPECT_EQ(renewals_, 1);
  EXPECT_FALSE(directory_.has("web.log.1"));
}

TEST_F(LogKeeperTest, SaysOnceThatItCannotRotate) {
  directory_.write("web.log.2", "x");
  std::filesystem::create_directories(directory_.path("web.log.3/in-the-way"));
  keep();
  app_writes(std::string(kLimit, 'x'));
  ASSERT_TRUE(eventually([&] { return failures_ > 0; }));
  EXPECT_EQ(failures_, 1);
  app_writes("still the same file\n");
  EXPECT_EQ(directory_.read("web.log").size(), kLimit + 20);
}

}  // namespace
}  // namespace appd::runtime
