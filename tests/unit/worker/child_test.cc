// What becomes of one child. It has no process: the signals go to nobody.
#include "worker/zygote/child.h"

#include <gtest/gtest.h>

#include <csignal>
#include <limits>

namespace appd::zygote {
namespace {

using message::ExitCause;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr int kKilled = SIGKILL;  // as from waitpid(2)
constexpr int kSaysCut = kExitCut << 8;

Child child() {
  Child child;
  child.worker = 1;
  child.pid = std::numeric_limits<pid_t>::max();  // no kernel has as many
  child.forked = net::steady_now();
  return child;
}

message::Settings graceful(std::uint32_t ms) {
  message::Settings settings;
  settings.graceful_timeout_ms = ms;
  return settings;
}

TEST(Child, ThatDrainsIsKilledAfterItsOwnDeadline) {
  Child worker = child();
  worker.drain(graceful(500), worker.forked);
  EXPECT_GT(worker.kill_at, worker.forked + milliseconds(500)) << "it ends by itself at 500 ms";
  worker.kill_if_late(worker.kill_at - milliseconds(1));
  EXPECT_EQ(worker.cause, ExitCause::Asked);
  worker.kill_if_late(worker.kill_at);
  EXPECT_EQ(worker.cause, ExitCause::GracefulTimeout);
  EXPECT_EQ(worker.kill_at, net::kNever) << "once is enough";
}

TEST(Child, ThatIsACommandIsKilledAtTheLimit) {
  Child command = child();
  command.command = true;
  command.drain(graceful(500), command.forked);
  EXPECT_EQ(command.kill_at, command.forked + milliseconds(500));
}

TEST(Child, IsGivenNoMoreTimeByASecondDrain) {
  Child worker = child();
  worker.drain(graceful(500), worker.forked);
  net::TimePoint first = worker.kill_at;
  worker.drain(graceful(500), worker.forked + seconds(1));
  EXPECT_EQ(worker.kill_at, first);
}

TEST(Child, MayDrainForEverWithoutALimit) {
  Child worker = child();
  worker.drain(graceful(0), worker.forked);
  EXPECT_EQ(worker.kill_at, net::kNever);
  EXPECT_EQ(worker.cause, ExitCause::Asked);
}

TEST(Child, ThatDrainsBeforeItIsReadyNeverIs) {
  Child command = child();
  command.command = true;
  command.ready_at = command.forked + seconds(1);
  command.drain(graceful(0), command.forked);
  EXPECT_EQ(command.ready_at, net::kNever);
}

TEST(Child, ThatIsCondemnedKeepsTheFirstReason) {
  Child worker = child();
  worker.stacks = std::move(StacksFile::create()).value();
  worker.condemn(ExitCause::RequestTimeout, "GET /slow after 1000 ms", worker.forked);
  worker.condemn(ExitCause::Silent, "GET /other", worker.forked);
  EXPECT_EQ(worker.cause, ExitCause::RequestTimeout);
  EXPECT_EQ(worker.detail, "GET /slow after 1000 ms");
}

TEST(Child, ThatIsCondemnedHasASecondToSayWhatItIsAt) {
  Child worker = child();
  worker.stacks = std::move(StacksFile::create()).value();
  worker.condemn(ExitCause::Timeout, "", worker.forked);
  EXPECT_LT(worker.next_look(worker.forked), worker.forked + seconds(1)) << "it is looked at often";
  EXPECT_FALSE(worker.stacks_taken(worker.forked + milliseconds(999)));
  EXPECT_TRUE(worker.stacks_taken(worker.forked + milliseconds(1000)));
  EXPECT_NE(worker.exited_message(worker.forked, kKilled).stacks.find("did not answer"),
            std::string::npos);
}

TEST(Child, TellsNoStacksThatSomebodyElseHasAskedFor) {
  Child worker = child();
  worker.stacks = std::move(StacksFile::create()).value();
  worker.take_stacks(worker.forked);
  EXPECT_TRUE(worker.stacks_taken(worker.forked + seconds(1)));
  EXPECT_EQ(worker.exited_message(worker.forked, kKilled).stacks, "");
}

TEST(Child, MayBeStoppedForAsLongAsARequestMayTake) {
  Child worker = child();
  worker.note_job_control(true, seconds(30), worker.forked);
  EXPECT_EQ(worker.stopped_by, worker.forked + seconds(30));
  worker.note_job_control(false, seconds(30), worker.forked);
  EXPECT_EQ(worker.stopped_by, net::kNever);
  worker.note_job_control(true, seconds(0), worker.forked);
  EXPECT_EQ(worker.stopped_by, net::kNever) << "without a limit for ever";
  worker.command = true;
  worker.note_job_control(true, seconds(30), worker.forked);
  EXPECT_EQ(worker.stopped_by, net::kNever) << "commands have no requests";
}

TEST(Child, WasOutOfMemoryWhenTheKernelSaysSo) {
  Child worker = child();
  EXPECT_TRUE(worker.killed_by_others(kKilled));
  worker.settle_cause(kKilled, "the counter counts one more");
  EXPECT_EQ(worker.cause, ExitCause::OutOfMemory);
  EXPECT_EQ(worker.detail, "the counter counts one more");
}

TEST(Child, ThatWeHaveKilledWasNotKilledByOthers) {
  Child worker = child();
  worker.cause = ExitCause::Asked;
  EXPECT_FALSE(worker.killed_by_others(kKilled));
  Child other = child();
  EXPECT_FALSE(other.killed_by_others(SIGSEGV));
  EXPECT_FALSE(other.killed_by_others(SIGKILL << 8)) << "an exit status";
}

TEST(Child, SaysByItsStatusThatItWasCutOff) {
  Child worker = child();
  worker.settle_cause(kSaysCut, "");
  EXPECT_EQ(worker.cause, ExitCause::Own) << "nobody has told it to go";
  worker.cause = ExitCause::Asked;
  worker.settle_cause(kSaysCut, "");
  EXPECT_EQ(worker.cause, ExitCause::GracefulTimeout);
  Child command = child();
  command.command = true;
  command.cause = ExitCause::Asked;
  command.settle_cause(kSaysCut, "");
  EXPECT_EQ(command.cause, ExitCause::Asked) << "a command's statuses are its own";
}

TEST(StuckLimit, IsTheShorterOneOfThoseThatThereAre) {
  message::Settings settings;
  settings.timeout_ms = 30'000;
  settings.request_timeout_ms = 0;
  EXPECT_EQ(stuck_limit(settings), seconds(30));
  settings.request_timeout_ms = 10'000;
  EXPECT_EQ(stuck_limit(settings), seconds(10));
  settings.timeout_ms = 0;
  EXPECT_EQ(stuck_limit(settings), seconds(10));
  settings.request_timeout_ms = 0;
  EXPECT_EQ(stuck_limit(settings), seconds(0));
}

}  // namespace
}  // namespace appd::zygote
