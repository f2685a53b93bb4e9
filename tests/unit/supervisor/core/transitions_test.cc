// What follows from events.
#include "supervisor/core/transitions.h"

#include <gtest/gtest.h>
#include <signal.h>

#include "tests/unit/supervisor/core/world.h"

namespace appd::core {
namespace {

using namespace std::chrono_literals;
using model::FailureCause;

TEST(Transitions, AWorkerThatDiesBeforeItIsReadyFailsTheRollout) {
  World world;
  world.settle();
  world.load(world.newest);
  world.tell(world.newest, message::Forked{1, 1001, false});
  auto seen =
      world.tell(world.newest, message::Exited{1, 1001, SIGSEGV, message::ExitCause::Own, ""});
  ASSERT_TRUE(seen.rollout_failed.has_value());
  EXPECT_EQ(seen.rollout_failed->cause, FailureCause::WorkerDied);
  EXPECT_NE(seen.rollout_failed->message.find("SIGSEGV"), std::string::npos);
}

TEST(Transitions, AnImportErrorInAWorkerFailsTheRolloutWithItsTraceback) {
  World world;
  world.settle();
  world.load(world.newest);
  world.tell(world.newest, message::Forked{1, 1001, false});
  auto seen = world.tell(world.newest, message::BootFailed{1, message::BootFailure::Import,
                                                           "ValueError: no", "Traceback x"});
  ASSERT_TRUE(seen.rollout_failed.has_value());
  EXPECT_EQ(seen.rollout_failed->cause, FailureCause::ImportFailed);
  EXPECT_EQ(seen.rollout_failed->traceback, "Traceback x");
}

TEST(Transitions, AnInterpreterThatNeverSaysHelloIsNamedAsTheCause) {
  World world;
  world.want.spec.python = "/bin/true";
  world.settle();
  auto seen = world.tell(world.newest, ZygoteGone{"exited with status 0", "some output"});
  ASSERT_TRUE(seen.rollout_failed.has_value());
  EXPECT_EQ(seen.rollout_failed->cause, FailureCause::InterpreterFailed);
  EXPECT_NE(seen.rollout_failed->message.find("/bin/true"), std::string::npos);
  EXPECT_EQ(seen.rollout_failed->traceback, "some output");
  EXPECT_TRUE(world.have.rollouts.empty());
}

TEST(Transitions, AnUnexpectedExitIsCountedAndToldWithItsReason) {
  World world;
  RolloutKey key = world.start_and_serve();
  auto seen = world.tell(key, message::Exited{2, 1002, SIGKILL, message::ExitCause::Own, ""});
  ASSERT_EQ(seen.exits.size(), 1U);
  EXPECT_FALSE(seen.exits[0].expected);
  EXPECT_EQ(seen.exits[0].death.reason,
            "was killed by signal 9 (SIGKILL) from outside, perhaps by the kernel's OOM killer");
  EXPECT_EQ(world.have.unexpected_exits, 1);
}

TEST(Transitions, ADrainedWorkersExitIsExpected) {
  World world;
  RolloutKey key = world.start_and_serve();
  world.want.spec.workers = 1;
  world.settle();
  auto seen = world.tell(key, message::Exited{2, 1002, 0, message::ExitCause::Asked, ""});
  ASSERT_EQ(seen.exits.size(), 1U);
  EXPECT_TRUE(seen.exits[0].expected);
  EXPECT_EQ(world.have.unexpected_exits, 0);
}

TEST(Transitions, ATimeoutNamesTheRequest) {
  World world;
  RolloutKey key = world.start_and_serve();
  auto seen =
      world.tell(key, message::Exited{2, 1002, SIGKILL, message::ExitCause::Timeout, "GET /slow"});
  EXPECT_NE(seen.exits.at(0).death.reason.find("GET /slow"), std::string::npos);
}

TEST(Transitions, AForkThatTheSystemRefusesIsTroubleButNotTheEndOfWhatServes) {
  World world;
  RolloutKey key = world.start_and_serve();
  world.want.spec.workers = 3;
  world.settle();
  auto seen = world.tell(key, message::ForkFailed{3, EAGAIN});
  ASSERT_TRUE(seen.trouble.has_value());
  EXPECT_EQ(world.have.find(key)->ready(), 2);
  world.done.clear();
  Plan waiting = world.settle();
  EXPECT_EQ(world.count<ForkWorker>(), 0U) << "not before the back-off is over";
  EXPECT_TRUE(waiting.deadline.has_value());
}

TEST(Transitions, OrphansGoByTheSignalThatTheirZygoteKnewOrTheirSpecHas) {
  Rollout rollout;
  rollout.spec.stop_signal = "HUP";
  EXPECT_EQ(stop_signal_of(rollout), SIGHUP) << "of an adopted one that nobody can be asked about";
  rollout.settings.revision = 3;
  rollout.settings.stop_signal = SIGINT;
  EXPECT_EQ(stop_signal_of(rollout), SIGINT);
}

TEST(Transitions, WhatIsAdoptedKeepsItsAge) {
  World world;
  RolloutKey key = world.start_and_serve();
  world.have.find(key)->workers.clear();
  world.tell(key, message::Forked{5, 1005, false, 60'000});
  world.tell(key, message::Ready{5, 1, "", 50'000});
  const Worker& worker = world.have.find(key)->workers.at(5);
  EXPECT_EQ(worker.asked, world.now.steady - 60s);
  EXPECT_EQ(*worker.ready, world.now.steady - 50s);
  EXPECT_EQ(worker.start_time, world.now.wall - 60s);
}

TEST(Transitions, AnImportErrorOfAReplacementIsNotHiddenByItsExit) {
  World world;
  RolloutKey key = world.start_and_serve();
  world.want.spec.workers = 3;
  world.settle();
  world.tell(key, message::Forked{3, 1003});
  world.tell(key,
             message::BootFailed{3, message::BootFailure::Import, "ValueError: no", "Traceback x"});
  auto seen = world.tell(key, message::Exited{3, 1003, 0x0300, message::ExitCause::Own, ""});
  EXPECT_EQ(seen.exits.at(0).death.cause, model::DeathCause::BootFailed);
  EXPECT_EQ(world.have.failure->traceback, "Traceback x");
}

TEST(Transitions, EventsOfAnUnknownRolloutAreIgnored) {
  World world;
  auto seen = world.tell(99, message::Ready{1, 1, ""});
  EXPECT_TRUE(seen.changed.empty());
}

TEST(Transitions, LearnsTheClassFromTheZygoteOrFromAWorker) {
  World world;
  world.settle();
  const Rollout& rollout = *world.have.find(world.newest);
  world.load(world.newest);
  EXPECT_EQ(rollout.worker_class, "") << "nobody has said so";
  world.tell(world.newest, message::Loaded{true, "", 1, "sync"});
  EXPECT_EQ(rollout.worker_class, "sync");
  world.answer_forks(world.newest);
  EXPECT_EQ(rollout.worker_class, "sync") << "one that does not know changes nothing";
  world.tell(world.newest, message::Ready{1, 1, "asgi"});
  EXPECT_EQ(rollout.worker_class, "asgi");
}

TEST(Transitions, ATaskThatFailsFailsTheRolloutWithItsLastLines) {
  World world;
  world.want.spec.run_once = {"migrate"};
  world.start_and_serve();
  world.want.rollout = 2;
  world.settle();
  world.tell(world.newest, message::Hello{});
  auto running = world.tell(world.newest, message::RunningOnce{1, 1, "migrate"});
  EXPECT_EQ(running.notes.at(0), "run_once 1 of 1: migrate");
  auto seen = world.tell(world.newest, message::RunOnceFailed{"migrate exited", "no such table"});
  ASSERT_TRUE(seen.rollout_failed.has_value());
  EXPECT_EQ(seen.rollout_failed->cause, FailureCause::RunOnceFailed);
  EXPECT_EQ(seen.rollout_failed->traceback, "no such table");
  EXPECT_EQ(world.have.serving(), RolloutKey{1});
}

TEST(Transitions, TasksThatAreDoneAreToldAsSuch) {
  World world;
  world.want.spec.run_once = {"migrate"};
  world.settle();
  EXPECT_EQ(world.have.find(world.newest)->run_once, world.want.spec.run_once);
  world.tell(world.newest, message::RunningOnce{1, 1, "migrate"});
  auto seen = world.tell(world.newest, message::Loaded{false, "", 0, "", true});
  EXPECT_TRUE(seen.ran_once);
  EXPECT_EQ(world.have.find(world.newest)->task, "");
}

TEST(Transitions, TasksThatWereDoneAreNotGivenToTheNextZygote) {
  World world;
  world.want.spec.run_once = {"migrate"};
  world.want.ran_once = true;
  world.settle();
  EXPECT_TRUE(world.have.find(world.newest)->run_once.empty());
}

TEST(Transitions, ACommandThatEndsTooEarlyIsToldWithItsOutput) {
  World world;
  world.want.spec.app.clear();
  world.want.spec.command = "worker";
  RolloutKey key = world.start_and_serve();
  world.tell(key, message::Exited{1, 1001, 9, message::ExitCause::Own, ""});
  world.settle();
  world.tell(key, message::Forked{1, 1003});
  auto told = world.tell(key, message::BootFailed{1, message::BootFailure::Ended,
                                                  "worker exited early", "last words"});
  auto seen = world.tell(key, message::Exited{1, 1003, 256, message::ExitCause::Own, ""});
  ASSERT_TRUE(told.trouble.has_value());
  EXPECT_EQ(told.trouble->cause, FailureCause::WorkerDied);
  EXPECT_FALSE(seen.trouble.has_value()) << "what was said in full is not said again in short";
  EXPECT_EQ(world.have.failure->traceback, "last words");
}

TEST(Transitions, ACommandThatCannotBeRunLeavesNoWorkerAndWaits) {
  World world;
  world.want.spec.app.clear();
  world.want.spec.command = "worker";
  RolloutKey key = world.start_and_serve();
  world.tell(key, message::Exited{1, 1001, 9, message::ExitCause::Own, ""});
  world.settle();
  auto seen = world.tell(
      key, message::BootFailed{1, message::BootFailure::NotFound, "run worker: no such file", ""});
  ASSERT_TRUE(seen.trouble.has_value());
  EXPECT_EQ(seen.trouble->cause, FailureCause::AppNotFound);
  EXPECT_FALSE(world.have.find(key)->workers.contains(1));
  EXPECT_TRUE(world.settle().deadline.has_value()) << "tried again later";
}

TEST(Transitions, WhatAnAppWroteIsKeptAsUtf8) {
  World world;
  world.settle();
  world.tell(world.newest, message::LoadFailed{false, "caf\xe9 \xc3\xa9", "\xff\xfe"});
  ASSERT_TRUE(world.have.failure.has_value());
  EXPECT_EQ(world.have.failure->message, "caf? \xc3\xa9");
  EXPECT_EQ(world.have.failure->traceback, "??");
}

}  // namespace
}  // namespace appd::core
