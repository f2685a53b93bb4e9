// What the planner decides, told as the life of a pool.
#include "supervisor/core/planner.h"

#include <gtest/gtest.h>

#include "tests/unit/supervisor/core/world.h"

namespace appd::core {
namespace {

using namespace std::chrono_literals;
using model::FailureCause;
using model::RunMode;

TEST(Planner, BringsAnAppUpWithOneWorkerFirst) {
  World world;
  world.settle();
  ASSERT_EQ(world.count<OpenListeners>(), 1U);
  ASSERT_EQ(world.count<StartRollout>(), 1U);
  EXPECT_EQ(world.count<ForkWorker>(), 0U);
  world.load(world.newest);
  EXPECT_EQ(world.count<ForkWorker>(), 1U) << "the canary";
  world.answer_forks(world.newest);
  EXPECT_EQ(world.count<ForkWorker>(), 2U);
  world.answer_forks(world.newest);
  EXPECT_TRUE(converged(world.want, world.have));
}

TEST(Planner, HasNothingToDoAndNoDeadlineWhenConverged) {
  World world;
  world.start_and_serve();
  Plan idle = world.settle();
  EXPECT_TRUE(idle.actions.empty());
  EXPECT_FALSE(idle.deadline.has_value()) << "an idle app must not wake anybody up";
}

TEST(Planner, ScalesUpByForkingAllThatIsMissingAtOnce) {
  World world;
  world.start_and_serve();
  world.done.clear();
  world.want.spec.workers = 17;
  world.settle();
  EXPECT_EQ(world.count<ForkWorker>(), 15U);
  EXPECT_EQ(world.count<TuneRollout>(), 0U) << "settings that did not change are not sent";
}

TEST(Planner, ScalesDownByDrainingTheHighestIds) {
  World world;
  world.want.spec.workers = 4;
  RolloutKey key = world.start_and_serve();
  world.want.spec.workers = 3;
  world.done.clear();
  world.settle();
  ASSERT_EQ(world.count<DrainWorker>(), 1U);
  EXPECT_EQ(std::get<DrainWorker>(world.done[0]).worker, 4U);
  EXPECT_FALSE(converged(world.want, world.have)) << "until it has left";
  world.exit_draining(key);
  EXPECT_TRUE(converged(world.want, world.have));
}

TEST(Planner, ReusesTheSmallestFreeWorkerId) {
  World world;
  RolloutKey key = world.start_and_serve();
  world.tell(key, message::Exited{1, 1001, 9, message::ExitCause::Own, ""});
  world.done.clear();
  world.settle();
  ASSERT_EQ(world.count<ForkWorker>(), 1U);
  EXPECT_EQ(std::get<ForkWorker>(world.done[0]).worker, 1U);
}

TEST(Planner, TunesRunningWorkersInPlaceWhenThreadsChange) {
  World world;
  RolloutKey key = world.start_and_serve();
  world.done.clear();
  world.want.spec.threads = 8;
  world.want.generation = 2;
  world.settle();
  EXPECT_EQ(world.count<TuneRollout>(), 1U);
  EXPECT_EQ(world.count<ForkWorker>() + world.count<DrainWorker>() + world.count<StartRollout>(),
            0U);
  EXPECT_FALSE(converged(world.want, world.have)) << "until each worker has confirmed";
  world.tell(key, message::Tuned{1, 2});
  world.tell(key, message::Tuned{2, 2});
  EXPECT_TRUE(converged(world.want, world.have));
}

TEST(Planner, WorkersKeepTheirThreadsWhileAClassWithoutThreadsComesUp) {
  World world;
  world.want.spec.worker_class = "gthread";
  world.want.spec.threads = 8;
  RolloutKey old = world.start_and_serve();
  world.done.clear();
  world.want.spec.worker_class = "gevent";
  world.want.spec.threads = 1;
  world.want.spec.worker_connections = 50;
  world.want.generation = 2;
  world.want.rollout = 2;
  world.settle();
  EXPECT_EQ(world.count<TuneRollout>(), 1U);
  EXPECT_EQ(world.have.find(old)->settings.threads, 8U);
  EXPECT_EQ(world.have.find(old)->settings.worker_connections, 50U) << "all else is told";
  EXPECT_EQ(world.have.find(world.newest)->settings.threads, 1U);
}

TEST(Planner, KeepsTheOldRolloutServingUntilTheNewOneHasAllItsWorkers) {
  World world;
  RolloutKey old = world.start_and_serve();
  world.want.rollout = 2;
  world.settle();
  RolloutKey fresh = world.newest;
  ASSERT_NE(old, fresh);
  world.load(fresh);
  world.answer_forks(fresh);
  EXPECT_EQ(world.have.find(old)->ready(), 2) << "still serving while the new one switches";
  EXPECT_EQ(world.count<RetireRollout>(), 0U);
  world.answer_forks(fresh);
  EXPECT_EQ(world.count<RetireRollout>(), 1U);
  EXPECT_EQ(world.have.serving(), fresh);
  world.exit_draining(old);
  world.tell(old, ZygoteGone{"exited with status 0", ""});
  EXPECT_TRUE(converged(world.want, world.have));
}

TEST(Planner, DoesNotTryAFailedRolloutAgainWhileTheOldOneServes) {
  World world;
  RolloutKey old = world.start_and_serve();
  world.want.rollout = 2;
  world.settle();
  world.tell(world.newest, message::LoadFailed{false, "SyntaxError: invalid syntax", "Traceback…"});
  world.done.clear();
  world.settle();
  EXPECT_EQ(world.count<KillRollout>(), 1U);
  world.tell(world.newest, ZygoteGone{"was killed by signal 9 (SIGKILL)", ""});
  world.pass(10min);
  Plan idle = world.settle();
  EXPECT_EQ(world.count<StartRollout>(), 0U);
  EXPECT_FALSE(idle.deadline.has_value());
  EXPECT_EQ(world.have.serving(), old);
  EXPECT_TRUE(converged(world.want, world.have)) << "what serves is what is wanted now";
}

TEST(Planner, TriesAgainWithGrowingPausesWhileNothingServes) {
  World world;
  world.settle();
  for (auto pause : {1000ms, 2000ms, 4000ms}) {
    world.tell(world.newest, message::LoadFailed{false, "ImportError", ""});
    world.settle();
    world.tell(world.newest, ZygoteGone{"was killed", ""});
    world.done.clear();
    Plan waiting = world.settle();
    EXPECT_EQ(world.count<StartRollout>(), 0U);
    ASSERT_TRUE(waiting.deadline.has_value());
    EXPECT_EQ(*waiting.deadline - world.now.steady, pause);
    world.pass(pause);
    world.settle();
    EXPECT_EQ(world.count<StartRollout>(), 1U);
  }
}

TEST(Planner, FailsARolloutThatIsNotReadyWithinItsBootTimeout) {
  World world;
  Plan waiting = world.settle();
  ASSERT_TRUE(waiting.deadline.has_value());
  EXPECT_EQ(*waiting.deadline - world.now.steady, world.want.spec.boot_timeout);
  world.pass(world.want.spec.boot_timeout);
  world.settle();
  ASSERT_TRUE(world.have.failure.has_value());
  EXPECT_EQ(world.have.failure->cause, FailureCause::BootTimeout);
}

TEST(Planner, AbandonsARolloutThatAnotherReloadHasSuperseded) {
  World world;
  world.start_and_serve();
  world.want.rollout = 2;
  world.settle();
  world.want.rollout = 3;
  world.done.clear();
  world.settle();
  EXPECT_EQ(world.count<KillRollout>(), 1U) << "it was still importing";
  EXPECT_EQ(world.count<StartRollout>(), 1U);
}

TEST(Planner, TellsAnAdoptedRolloutItsSettingsEvenWhenTheyAreTheDefaults) {
  World world;
  world.want.generation = 5;
  world.have.listening = true;
  Rollout& adopted = world.have.rollouts[7];
  adopted.number = 1;
  adopted.spec = world.want.spec;
  world.load(7);
  world.answer_forks(7);
  world.answer_forks(7);
  EXPECT_EQ(world.count<TuneRollout>(), 1U);
  EXPECT_EQ(world.have.find(7)->settings.revision, 5);
  EXPECT_TRUE(converged(world.want, world.have));
}

TEST(Planner, ForksNothingBeforeAnAdoptedRolloutHasToldOfAllItsWorkers) {
  World world;
  world.have.listening = true;
  Rollout& adopted = world.have.rollouts[7];
  adopted.number = 1;
  adopted.spec = world.want.spec;
  adopted.phase = RolloutPhase::Serving;
  adopted.untold = 2;
  world.load(7);
  EXPECT_EQ(world.count<ForkWorker>(), 0U) << "as far as we know it has none";
  world.tell(7, message::Forked{1, 1001, false});
  world.settle();
  EXPECT_EQ(world.count<ForkWorker>(), 0U);
  world.tell(7, message::Forked{2, 1002, false});
  world.settle();
  EXPECT_EQ(world.count<ForkWorker>(), 0U) << "both are there";
  world.want.spec.workers = 3;
  world.settle();
  EXPECT_EQ(world.count<ForkWorker>(), 1U);
}

TEST(Planner, ATaskHasItsOwnTimeAndNotThatOfTheImport) {
  World world;
  world.want.spec.run_once = {"migrate"};
  world.settle();
  world.pass(world.want.spec.boot_timeout - 1ms);
  world.tell(world.newest, message::RunningOnce{1, 1, "migrate"});
  world.pass(world.want.spec.run_once_timeout);
  Plan waiting = world.settle();
  EXPECT_EQ(world.count<FailRollout>(), 0U) << "the zygote ends it";
  ASSERT_TRUE(waiting.deadline.has_value());
  world.pass(kTaskMargin);
  world.settle();
  EXPECT_EQ(world.count<FailRollout>(), 1U);
}

TEST(Planner, LetsTheTaskOfASupersededRolloutEndInsteadOfKillingItsZygote) {
  World world;
  world.start_and_serve();
  world.want.rollout = 2;
  world.settle();
  world.tell(world.newest, message::RunningOnce{1, 1, "migrate"});
  world.want.rollout = 3;
  world.done.clear();
  world.settle();
  EXPECT_EQ(world.count<KillRollout>(), 0U);
  EXPECT_EQ(world.count<RetireRollout>(), 1U);
  EXPECT_EQ(world.count<StartRollout>(), 0U) << "its own tasks must wait for that";
  world.tell(world.newest, ZygoteGone{"exited with status 0", ""});
  world.settle();
  EXPECT_EQ(world.count<StartRollout>(), 1U);
}

TEST(Planner, GrowsTheServingRolloutEvenWhileAnotherComesUp) {
  World world;
  RolloutKey old = world.start_and_serve();
  world.want.rollout = 2;
  world.settle();
  world.want.spec.workers = 4;
  world.done.clear();
  world.settle();
  EXPECT_EQ(world.count<ForkWorker>(), 2U);
  EXPECT_EQ(std::get<ForkWorker>(world.done[0]).rollout, old);
}

TEST(Planner, DrainsEverythingAndClosesTheListenersOnStop) {
  World world;
  RolloutKey key = world.start_and_serve();
  world.want.spec.run_mode = RunMode::Stopped;
  world.settle();
  EXPECT_EQ(world.count<RetireRollout>(), 1U);
  EXPECT_EQ(world.count<CloseListeners>(), 0U) << "not before the last worker has gone";
  world.exit_draining(key);
  world.tell(key, ZygoteGone{"exited with status 0", ""});
  world.settle();
  EXPECT_EQ(world.count<CloseListeners>(), 1U);
  EXPECT_TRUE(converged(world.want, world.have));
}

TEST(Planner, KillsARetiringRolloutThatOutlivesItsGrace) {
  World world;
  world.start_and_serve();
  world.want.spec.run_mode = RunMode::Stopped;
  Plan waiting = world.settle();
  ASSERT_TRUE(waiting.deadline.has_value());
  world.pass(world.want.spec.graceful_timeout + kRetireMargin);
  world.settle();
  EXPECT_EQ(world.count<KillRollout>(), 1U);
}

TEST(Planner, TheGraceOfARetiringRolloutIsWhatItsWorkersWereToldLast) {
  World world;
  world.start_and_serve();
  world.want.spec.graceful_timeout = 1h;
  ++world.want.generation;
  world.settle();
  world.want.spec.run_mode = RunMode::Stopped;
  world.settle();
  world.pass(1h);
  world.settle();
  EXPECT_EQ(world.count<KillRollout>(), 0U);
  world.pass(kRetireMargin);
  world.settle();
  EXPECT_EQ(world.count<KillRollout>(), 1U);
}

TEST(Planner, WithoutAGracefulTimeoutARetiringRolloutMayTakeAsLongAsItLikes) {
  World world;
  world.want.spec.graceful_timeout = 0s;
  world.start_and_serve();
  world.want.spec.run_mode = RunMode::Stopped;
  EXPECT_FALSE(world.settle().deadline);
  world.pass(24h);
  world.settle();
  EXPECT_EQ(world.count<KillRollout>(), 0U);
}

TEST(Planner, ReplacesAZygoteThatDiedWhileItsOrphansServeOn) {
  World world;
  RolloutKey old = world.start_and_serve();
  world.pass(1h);
  world.tell(old, ZygoteGone{"was killed by signal 9 (SIGKILL)", ""});
  world.done.clear();
  world.settle();
  EXPECT_EQ(world.count<StartRollout>(), 1U);
  EXPECT_EQ(world.have.find(old)->ready(), 2);
  RolloutKey fresh = world.newest;
  world.load(fresh);
  world.answer_forks(fresh);
  world.answer_forks(fresh);
  EXPECT_EQ(world.count<RetireRollout>(), 1U);
  world.tell(old, OrphanGone{1});
  world.tell(old, OrphanGone{2});
  EXPECT_TRUE(converged(world.want, world.have));
}

}  // namespace
}  // namespace appd::core
