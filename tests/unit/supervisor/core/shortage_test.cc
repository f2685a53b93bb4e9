// What is told of limit_pids, and of what.
#include "supervisor/core/shortage.h"

#include <gtest/gtest.h>

#include <cerrno>

#include "tests/unit/supervisor/core/world.h"

namespace appd::core {
namespace {

TEST(Shortage, MayHaveBroughtAboutForksAndStartsThatFailed) {
  EXPECT_TRUE(may_lack_pids(message::ForkFailed{1, EAGAIN}));
  EXPECT_FALSE(may_lack_pids(message::ForkFailed{1, ENOMEM}));
  EXPECT_TRUE(may_lack_pids(message::LoadFailed{}));
  EXPECT_TRUE(may_lack_pids(message::BootFailed{}));
  EXPECT_TRUE(may_lack_pids(message::RunOnceFailed{}));
  EXPECT_FALSE(may_lack_pids(message::Forked{}));
  EXPECT_TRUE(is_refused_fork(message::ForkFailed{1, EAGAIN}));
  EXPECT_FALSE(is_refused_fork(message::BootFailed{}));
}

TEST(Shortage, IsToldWithTheForkThatWasRefusedWhichIsTriedAgain) {
  World world;
  const RolloutKey key = world.start_and_serve();
  world.want.spec.workers = 3;
  world.settle();
  const auto seen = world.tell(key, with_pids_limit(message::ForkFailed{3, EAGAIN}, 64));
  ASSERT_TRUE(seen.trouble.has_value());
  EXPECT_EQ(seen.trouble->cause, model::FailureCause::SpawnFailed);
  EXPECT_EQ(
      seen.trouble->message,
      "fork a worker: Resource temporarily unavailable; limit_pids (64) had refused the app a "
      "process or a thread");
  EXPECT_TRUE(world.settle().deadline.has_value());
}

TEST(Shortage, IsToldAfterWhatAnAppSays) {
  const RolloutEvent event =
      with_pids_limit(message::LoadFailed{false, "RuntimeError: can't start new thread", ""}, 64);
  EXPECT_EQ(
      std::get<message::LoadFailed>(event).summary,
      "RuntimeError: can't start new thread; limit_pids (64) had refused the app a process or "
      "a thread");
}

TEST(Shortage, IsToldInACertificate) {
  model::Death death;
  death.reason = "was killed by signal 6 (SIGABRT)";
  note_pids_limit(64, death);
  EXPECT_EQ(death.reason,
            "was killed by signal 6 (SIGABRT); limit_pids (64) had refused the app a process or a "
            "thread");
}

}  // namespace
}  // namespace appd::core
