// Who is due, and that the pool never gets smaller for it.
#include "supervisor/core/recycling.h"

#include <gtest/gtest.h>

#include <set>

#include "tests/unit/supervisor/core/world.h"

namespace appd::core {
namespace {

using namespace std::chrono_literals;

Worker ready_worker(std::int32_t pid, Time ready) {
  Worker worker;
  worker.pid = pid;
  worker.ready = ready;
  return worker;
}

TEST(Recycling, NobodyIsDueWithoutLimits) {
  Worker worker = ready_worker(7, Time(1h));
  worker.requests = 1'000'000;
  worker.memory = std::int64_t{1} << 40;
  EXPECT_EQ(due_for({}, 1, worker, Time(1000h)), "");
  EXPECT_EQ(due_at({}, 1, worker), std::nullopt);
  EXPECT_FALSE(needs_figures({}));
}

TEST(Recycling, EachLimitHasItsName) {
  model::AppSpec spec;
  spec.max_requests = 100;
  spec.max_worker_lifetime = 60s;
  spec.max_memory = 1 << 30;
  Worker worker = ready_worker(7, Time(1h));
  EXPECT_EQ(due_for(spec, 1, worker, Time(1h)), "");
  worker.requests = 99;
  EXPECT_EQ(due_for(spec, 1, worker, Time(1h) + 59s), "");
  worker.requests = 100;
  EXPECT_EQ(due_for(spec, 1, worker, Time(1h)), "max_requests");
  worker.requests = 0;
  EXPECT_EQ(due_for(spec, 1, worker, Time(1h) + 60s), "max_worker_lifetime");
  worker.memory = std::int64_t{1} << 30;
  EXPECT_EQ(due_for(spec, 1, worker, Time(1h)), "max_memory");
  worker.memory = 0;
  worker.recycle_asked = true;
  EXPECT_EQ(due_for(spec, 1, worker, Time(1h)), "asked");
}

TEST(Recycling, JitterIsAWorkersOwnAndWithinItsBounds) {
  model::AppSpec spec;
  spec.max_worker_lifetime = 60s;
  spec.max_worker_lifetime_jitter = 30s;
  std::set<Time> dues;
  for (std::int32_t pid = 1000; pid < 1032; ++pid) {
    Worker worker = ready_worker(pid, Time(1h));
    Time due = *due_at(spec, 1, worker);
    EXPECT_EQ(due, *due_at(spec, 1, worker)) << "it stays the same";
    EXPECT_GE(due, Time(1h) + 60s);
    EXPECT_LE(due, Time(1h) + 90s);
    dues.insert(due);
  }
  EXPECT_GT(dues.size(), 24U);
}

TEST(Recycling, ATenthOfThePoolAtOnceButOneAtLeast) {
  EXPECT_EQ(share_of(1), 1);
  EXPECT_EQ(share_of(19), 1);
  EXPECT_EQ(share_of(20), 2);
  EXPECT_EQ(share_of(1024), 102);
}

TEST(Recycling, TheReplacementIsReadyBeforeTheOldOneIsToldToGo) {
  World world;
  world.want.spec.max_requests = 10;
  RolloutKey key = world.start_and_serve();
  world.done.clear();
  world.have.find(key)->workers.at(1).requests = 10;
  Plan next = world.settle();
  EXPECT_EQ(next.deadline, world.now.steady + kLookAtFigures);
  EXPECT_EQ(world.count<RecycleWorker>(), 1U);
  EXPECT_EQ(world.count<ForkWorker>(), 1U);
  EXPECT_EQ(world.count<DrainWorker>(), 0U);
  EXPECT_EQ(world.have.ready(), 2);
  EXPECT_TRUE(converged(world.want, world.have)) << "nothing of what was asked for is missing";
  world.answer_forks(key);
  ASSERT_EQ(world.count<DrainWorker>(), 1U);
  EXPECT_EQ(world.have.find(key)->workers.at(1).state, model::WorkerState::Draining);
  EXPECT_EQ(world.have.ready(), 2);
  EXPECT_TRUE(converged(world.want, world.have));
  world.exit_draining(key);
  EXPECT_EQ(world.have.recycled_workers, 1);
  EXPECT_EQ(world.have.unexpected_exits, 0);
  EXPECT_EQ(world.have.find(key)->workers.size(), 2U);
  EXPECT_EQ(world.count<ForkWorker>(), 1U);
}

TEST(Recycling, AllThatAreDueAtOnceGoOneAfterTheOther) {
  World world;
  world.want.spec.workers = 5;
  world.want.spec.max_worker_lifetime = 60s;
  RolloutKey key = world.start_and_serve();
  world.done.clear();
  world.pass(60s);
  world.settle();
  std::size_t rounds = 0;
  while (world.have.recycled_workers < 5 && ++rounds < 20) {
    EXPECT_LE(world.have.find(key)->workers.size(), 6U);
    EXPECT_GE(world.have.ready(), 5);
    world.answer_forks(key);
    EXPECT_GE(world.have.ready(), 5);
    world.exit_draining(key);
  }
  EXPECT_EQ(rounds, 5U);
  EXPECT_EQ(world.count<ForkWorker>(), 5U);
  Plan rest = world.settle();
  EXPECT_EQ(rest.deadline, world.now.steady + 60s) << "when the next is due";
}

TEST(Recycling, AReplacementThatDiesLeavesTheOldOneServing) {
  World world;
  world.want.spec.max_requests = 10;
  RolloutKey key = world.start_and_serve();
  world.have.find(key)->workers.at(1).requests = 10;
  world.settle();
  world.tell(key, message::Forked{3, 1003});
  world.tell(key, message::Exited{3, 1003, 9, message::ExitCause::Own, ""});
  world.done.clear();
  world.settle();
  EXPECT_EQ(world.have.ready(), 2);
  EXPECT_EQ(world.count<DrainWorker>(), 0U);
  EXPECT_EQ(world.count<ForkWorker>(), 0U) << "the pause";
  world.pass(1s);
  world.settle();
  EXPECT_EQ(world.count<ForkWorker>(), 1U);
}

TEST(Recycling, AskedForTwoTheSecondWaitsForTheFirst) {
  World world;
  RolloutKey key = world.start_and_serve();
  world.done.clear();
  for (WorkerId id : {1U, 2U}) world.have.find(key)->workers.at(id).recycle_asked = true;
  world.settle();
  EXPECT_EQ(world.count<ForkWorker>(), 1U);
  world.answer_forks(key);
  world.exit_draining(key);
  world.answer_forks(key);
  world.exit_draining(key);
  EXPECT_EQ(world.have.recycled_workers, 2);
  EXPECT_EQ(world.have.find(key)->workers.size(), 2U);
}

TEST(Recycling, FewerWorkersAreAskedForMeanwhile) {
  World world;
  RolloutKey key = world.start_and_serve();
  world.have.find(key)->workers.at(1).recycle_asked = true;
  world.settle();
  world.want.spec.workers = 1;
  world.answer_forks(key);
  world.exit_draining(key);
  world.settle();
  EXPECT_EQ(world.have.find(key)->workers.size(), 1U);
  EXPECT_EQ(world.have.find(key)->workers.count(1), 0U) << "it was to go anyway";
  EXPECT_TRUE(converged(world.want, world.have));
}

}  // namespace
}  // namespace appd::core
