// Why workers end, told apart.
#include "supervisor/core/autopsy.h"

#include <gtest/gtest.h>
#include <signal.h>

#include "tests/unit/supervisor/core/world.h"

namespace appd::core {
namespace {

using namespace std::chrono_literals;
using message::ExitCause;
using model::DeathCause;

constexpr int kStatus3 = 0x0300;

message::Exited exited(int wait_status, ExitCause cause, std::string detail = "") {
  return {2, 1002, wait_status, cause, std::move(detail), 1'000, 2'000, 3'500};
}

TEST(Autopsy, CopiesWhatTheZygoteSays) {
  Rollout rollout;
  rollout.number = 7;
  rollout.worker_class = "asgi";
  model::Death death = certify(exited(kStatus3, ExitCause::Own), nullptr, rollout);
  EXPECT_EQ(death.worker, 2);
  EXPECT_EQ(death.pid, 1002);
  EXPECT_EQ(death.rollout, 7);
  EXPECT_EQ(death.worker_class, "asgi");
  EXPECT_EQ(death.start_time.time_since_epoch(), 1s);
  EXPECT_EQ(death.ready_time->time_since_epoch(), 2s);
  EXPECT_EQ(death.end_time.time_since_epoch(), 3500ms);
  EXPECT_EQ(death.exit_status, 3);
  EXPECT_EQ(death.signal, std::nullopt);
  message::Exited never = exited(SIGSEGV, ExitCause::Own);
  never.ready_time = 0;
  death = certify(never, nullptr, rollout);
  EXPECT_EQ(death.ready_time, std::nullopt);
  EXPECT_EQ(death.signal, SIGSEGV);
}

TEST(Autopsy, TellsTheCausesApart) {
  Worker plain;
  Worker hung;
  hung.killed = true;
  Worker unloaded;
  unloaded.boot_error = "ValueError: no";
  Rollout rollout;
  Rollout shot;
  shot.killed = true;
  Rollout command;
  command.spec.command = "sleep 9";
  struct Case {
    message::Exited exited;
    const Worker* worker;
    const Rollout* rollout;
    DeathCause cause;
    const char* limit;
    const char* words;
  };
  const Case cases[] = {
      {exited(0, ExitCause::Asked), &plain, &rollout, DeathCause::Asked, "", "status 0"},
      {exited(SIGTERM, ExitCause::Asked), &plain, &rollout, DeathCause::Asked, "", "SIGTERM"},
      {exited(SIGKILL, ExitCause::Asked), &plain, &rollout, DeathCause::Killed, "", "outside"},
      {exited(SIGSEGV, ExitCause::Asked), &plain, &rollout, DeathCause::Crashed, "", "SIGSEGV"},
      {exited(SIGINT, ExitCause::Asked), &plain, &command, DeathCause::Asked, "", "SIGINT"},
      {exited(kStatus3, ExitCause::Own), &plain, &rollout, DeathCause::Crashed, "", "status 3"},
      {exited(SIGSEGV, ExitCause::Own), nullptr, &rollout, DeathCause::Crashed, "", "SIGSEGV"},
      {exited(SIGKILL, ExitCause::Own), &plain, &rollout, DeathCause::Killed, "", "outside"},
      {exited(SIGKILL, ExitCause::Own), &plain, &shot, DeathCause::Asked, "", "with its rollout"},
      {exited(SIGKILL, ExitCause::Own), &hung, &rollout, DeathCause::BootTimeout, "boot_timeout",
       "boot_timeout"},
      {exited(kStatus3, ExitCause::Own), &unloaded, &rollout, DeathCause::BootFailed, "",
       "ValueError: no"},
      {exited(SIGKILL, ExitCause::Timeout, "GET /slow after 30 ms"), &plain, &rollout,
       DeathCause::Timeout, "timeout", "GET /slow"},
      {exited(SIGKILL, ExitCause::RequestTimeout, "GET /old"), &plain, &rollout,
       DeathCause::RequestTimeout, "request_timeout", "GET /old"},
      {exited(SIGKILL, ExitCause::Stopped, "for 1000 ms"), &plain, &rollout, DeathCause::Stopped,
       "timeout", "stopped by a signal for 1000 ms"},
      {exited(SIGKILL, ExitCause::Silent, "GET /c"), &plain, &rollout, DeathCause::Timeout,
       "timeout", "GET /c"},
      {exited(SIGKILL, ExitCause::GracefulTimeout), &plain, &rollout, DeathCause::GracefulTimeout,
       "graceful_timeout", "graceful_timeout"},
      {exited(SIGKILL, ExitCause::OutOfMemory, "memory.events"), &plain, &rollout,
       DeathCause::OutOfMemory, "memory", "memory.events"},
  };
  for (const Case& one : cases) {
    model::Death death = certify(one.exited, one.worker, *one.rollout);
    EXPECT_EQ(death.cause, one.cause) << one.words;
    EXPECT_EQ(death.limit, one.limit) << one.words;
    EXPECT_NE(death.reason.find(one.words), std::string::npos) << death.reason;
  }
}

TEST(Autopsy, NamesTheLimitThatAnAppRanInto) {
  model::Death death =
      certify(exited(SIGKILL, ExitCause::OutOfMemory, "memory.events"), nullptr, {});
  note_memory_limit(std::int64_t{512} << 20, death);
  EXPECT_EQ(death.cause, DeathCause::OutOfMemory);
  EXPECT_EQ(death.limit, "limit_memory");
  EXPECT_NE(death.reason.find("reached limit_memory (512 MiB)"), std::string::npos) << death.reason;
}

TEST(Autopsy, AWorkerThatLeavesRequestsBehindDidNotGoWell) {
  Rollout rollout;
  model::LastFigures figures;
  figures.busy = 2;
  figures.in_hand = {{"GET", "/slow", 31s}};
  model::Death cut = certify(exited(0, ExitCause::Asked), nullptr, rollout);
  note_figures(figures, cut);
  EXPECT_EQ(cut.cause, DeathCause::GracefulTimeout);
  EXPECT_EQ(cut.limit, "graceful_timeout");
  EXPECT_EQ(cut.figures.in_hand.size(), 1U);
  EXPECT_EQ(cut.reason, "exited with status 0, with 2 requests in hand");
  model::Death crash = certify(exited(SIGSEGV, ExitCause::Own), nullptr, rollout);
  note_figures(figures, crash);
  EXPECT_EQ(crash.cause, DeathCause::Crashed) << "it stays what it was";
  model::Death clean = certify(exited(0, ExitCause::Asked), nullptr, rollout);
  note_figures({}, clean);
  EXPECT_EQ(clean.cause, DeathCause::Asked);
}

TEST(Autopsy, WhatWaitsForItsClientAndWebSocketsAreLeftBehindToo) {
  for (auto member : {&model::LastFigures::receiving, &model::LastFigures::sending,
                      &model::LastFigures::websockets}) {
    model::LastFigures figures;
    figures.*member = 1;
    model::Death cut = certify(exited(0, ExitCause::Asked), nullptr, {});
    note_figures(figures, cut);
    EXPECT_EQ(cut.cause, DeathCause::GracefulTimeout);
  }
}

TEST(Autopsy, TellsWhatWasCutByTheEndOfOneThatWasToGo) {
  model::LastFigures figures;
  figures.busy = figures.receiving = figures.websockets = 1;
  figures.in_hand = {{"GET", "/slow", 31s}};
  Rollout rollout;
  rollout.number = 7;
  model::Death death = certify(exited(0, ExitCause::Asked), nullptr, rollout);
  note_figures(figures, death);
  death.id = 4;
  auto cut = cut_by(death);
  ASSERT_TRUE(cut);
  EXPECT_EQ(*cut, (model::CutWorker{2, 7, 4, "graceful_timeout", 2, 1, {{"GET", "/slow", 31s}}}));
  model::Death clean = certify(exited(0, ExitCause::Asked), nullptr, rollout);
  note_figures({}, clean);
  EXPECT_FALSE(cut_by(clean));
  model::Death idle_crash = certify(exited(SIGSEGV, ExitCause::Own), nullptr, rollout);
  EXPECT_FALSE(cut_by(idle_crash)) << "it had nothing in hand";
  model::Death late = certify(exited(0x400, ExitCause::GracefulTimeout), nullptr, rollout);
  ASSERT_TRUE(cut_by(late)) << "it did not end by itself";
  EXPECT_EQ(cut_by(late)->requests, 0);
}

TEST(Autopsy, OfAnOrphanNothingIsKnownUnlessItWasAsked) {
  World world;
  RolloutKey key = world.start_and_serve();
  Rollout& rollout = *world.have.find(key);
  EXPECT_EQ(certify_orphan(1, rollout.workers.at(1), rollout, {}).cause, DeathCause::Unknown);
  rollout.phase = RolloutPhase::Retiring;
  EXPECT_EQ(certify_orphan(1, rollout.workers.at(1), rollout, {}).cause, DeathCause::Asked);
}

TEST(Autopsy, AnExitThatNoAppdSawIsToldWhenOneComes) {
  World world;
  RolloutKey key = world.start_and_serve();
  world.have.find(key)->workers.erase(2);
  auto seen = world.tell(key, exited(SIGSEGV, ExitCause::Own));
  ASSERT_EQ(seen.exits.size(), 1U);
  EXPECT_FALSE(seen.exits[0].expected);
  EXPECT_EQ(seen.exits[0].worker.pid, 1002);
  EXPECT_EQ(seen.exits[0].death.signal, SIGSEGV);
  EXPECT_EQ(world.have.find(key)->restarts.early_deaths(), 0) << "it has been missing for a while";
}

TEST(Autopsy, DescribesExits) {
  EXPECT_EQ(describe_exit(kStatus3), "exited with status 3");
  EXPECT_EQ(describe_exit(SIGTERM), "was killed by signal 15 (SIGTERM)");
}

}  // namespace
}  // namespace appd::core
