// What supervisord would call it.
#include <gtest/gtest.h>
#include <signal.h>

#include "tests/unit/supervisor/core/world.h"

namespace appd::core {
namespace {

using namespace std::chrono_literals;
using model::ProcessState;

ProcessState state_of(const World& world) {
  return process_state(world.want, world.have, world.now.steady);
}

void crash(World& world, RolloutKey key) {
  world.tell(key, message::Exited{2, 1002, SIGSEGV, message::ExitCause::Own, ""});
  world.settle();
}

TEST(ProcessState, GoesFromStartingToRunningToStopped) {
  World world;
  world.settle();
  EXPECT_EQ(state_of(world), ProcessState::Starting);
  world.load(world.newest);
  world.answer_forks(world.newest);
  world.answer_forks(world.newest);
  EXPECT_EQ(state_of(world), ProcessState::Running);
  world.want.spec.run_mode = model::RunMode::Stopped;
  world.settle();
  EXPECT_EQ(state_of(world), ProcessState::Stopping);
  world.exit_draining(world.newest);
  world.tell(world.newest, ZygoteGone{"exited with status 0", ""});
  world.settle();
  EXPECT_EQ(state_of(world), ProcessState::Stopped);
}

TEST(ProcessState, AWorkerThatKeepsDyingIsBackoffWithTheTimeOfTheNextTry) {
  World world;
  RolloutKey key = world.start_and_serve();
  crash(world, key);
  world.answer_forks(key);
  EXPECT_EQ(state_of(world), ProcessState::Running) << "one accident is replaced at once";
  crash(world, key);
  EXPECT_EQ(state_of(world), ProcessState::Backoff);
  EXPECT_EQ(retry_at(world.want, world.have, world.now.steady), world.now.steady + 2s);
  world.pass(2s);
  world.settle();
  EXPECT_EQ(state_of(world), ProcessState::Running);
  EXPECT_EQ(retry_at(world.want, world.have, world.now.steady), std::nullopt);
}

TEST(ProcessState, TheLongestPauseIsFatalAndTriedAgainAllTheSame) {
  World world;
  RolloutKey key = world.start_and_serve();
  for (int round = 0; round < 8; ++round) {
    crash(world, key);
    if (round == 7) break;
    world.pass(1min);
    world.settle();
    world.tell(key, message::Forked{2, 1002});
    world.tell(key, message::Ready{2, 1, ""});
  }
  EXPECT_EQ(state_of(world), ProcessState::Fatal);
  EXPECT_EQ(retry_at(world.want, world.have, world.now.steady), world.now.steady + 1min);
  world.pass(1min);
  world.done.clear();
  world.settle();
  EXPECT_EQ(world.count<ForkWorker>(), 1U);
}

TEST(ProcessState, AStartThatFailedIsBackoff) {
  World world;
  world.settle();
  world.tell(world.newest, message::LoadFailed{false, "ImportError", ""});
  world.settle();
  world.tell(world.newest, ZygoteGone{"was killed by signal 9 (SIGKILL)", ""});
  world.settle();
  EXPECT_EQ(state_of(world), ProcessState::Backoff);
  EXPECT_EQ(retry_at(world.want, world.have, world.now.steady), world.now.steady + 1s);
}

TEST(ProcessState, EveryStateOfAWorkerHasItsName) {
  EXPECT_EQ(process_state(model::WorkerState::Starting), ProcessState::Starting);
  EXPECT_EQ(process_state(model::WorkerState::Ready), ProcessState::Running);
  EXPECT_EQ(process_state(model::WorkerState::Draining), ProcessState::Stopping);
  EXPECT_EQ(process_state(model::WorkerState::Exited), ProcessState::Exited);
}

}  // namespace
}  // namespace appd::core
