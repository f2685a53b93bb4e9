// A zygote that runs commands: the workers of a pool, and what a rollout runs once.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>

#include <fstream>

#include "tests/component/zygote_process.h"
#include "tests/support/eventually.h"

namespace appd::test {
namespace {

message::Load command(std::string line) {
  message::Load load;
  load.command = std::move(line);
  load.settings.startsecs_ms = 50;
  return load;
}

bool alive(pid_t pid) { return ::kill(pid, 0) == 0; }

pid_t number_in(const std::filesystem::path& file) {
  pid_t pid = 0;
  std::ifstream(file) >> pid;
  return pid;
}

TEST(ZygoteCommand, IsReadyWhenItHasStayedUp) {
  ZygoteProcess zygote("");
  zygote.load(command("sleep 1000"));
  EXPECT_EQ(zygote.expect<message::Loaded>().worker_class, "command");
  zygote.send(message::Fork{1});
  pid_t pid = zygote.expect<message::Forked>().pid;
  EXPECT_EQ(zygote.expect<message::Ready>().worker, 1U);
  EXPECT_EQ(::getpgid(pid), pid);
  zygote.send(message::Drain{1});
  auto exited = zygote.expect<message::Exited>();
  EXPECT_EQ(exited.wait_status, SIGTERM);
  EXPECT_EQ(exited.cause, message::ExitCause::Asked);
}

TEST(ZygoteCommand, StartsCleanInTheAppsDirectory) {
  ZygoteProcess zygote("");
  zygote.write("look.sh", R"(
pwd
echo "fds:" /proc/self/fd/*
grep Sig /proc/self/status
readlink /proc/self/fd/0
exec sleep 1000
)");
  zygote.load(command("/bin/sh ./look.sh"));
  zygote.expect<message::Loaded>();
  zygote.send(message::Fork{1});
  ASSERT_TRUE(eventually([&] { return zygote.log().find("/dev/null\n") != std::string::npos; }));
  std::string log = zygote.log();
  EXPECT_NE(log.find(zygote.directory().string() + "\n"), std::string::npos);
  EXPECT_NE(log.find("SigBlk:\t0000000000000000"), std::string::npos);
  EXPECT_NE(log.find("SigIgn:\t0000000000000000"), std::string::npos) << "Python ignores SIGPIPE";
  // The shell opens the folder itself while it looks.
  EXPECT_EQ(log.find("/proc/self/fd/4"), std::string::npos);
}

TEST(ZygoteCommand, AnEarlierEndIsAFailedBootWithItsLastLines) {
  ZygoteProcess zygote("");
  message::Load load = command("sh -c 'echo no broker; exit 3'");
  load.settings.startsecs_ms = 20'000;
  zygote.load(load);
  zygote.expect<message::Loaded>();
  zygote.send(message::Fork{1});
  zygote.expect<message::Forked>();
  auto failed = zygote.expect<message::BootFailed>();
  EXPECT_TRUE(failed.summary.starts_with("sh exited with status 3 ")) << failed.summary;
  EXPECT_EQ(failed.traceback, "no broker\n");
  EXPECT_EQ(zygote.expect<message::Exited>().wait_status, 3 << 8);
}

TEST(ZygoteCommand, OneThatIsNotThereIsNeverForked) {
  ZygoteProcess zygote("");
  zygote.load(command("no-such-program --now"));
  zygote.expect<message::Loaded>();
  zygote.send(message::Fork{1});
  auto failed = zygote.expect<message::BootFailed>();
  EXPECT_EQ(failed.cause, message::BootFailure::NotFound);
  EXPECT_NE(failed.summary.find("no-such-program"), std::string::npos) << failed.summary;
  EXPECT_NE(failed.summary.find("No such file"), std::string::npos) << failed.summary;
}

TEST(ZygoteCommand, WhatItStartedEndsWithIt) {
  ZygoteProcess zygote("");
  zygote.load(command("sh -c 'sleep 1000 & echo $! >child; exec sleep 1000'"));
  zygote.expect<message::Loaded>();
  zygote.send(message::Fork{1});
  pid_t pid = zygote.expect<message::Forked>().pid;
  zygote.expect<message::Ready>();
  pid_t child = 0;
  ASSERT_TRUE(eventually([&] { return (child = number_in(zygote.directory() / "child")) > 0; }));
  ASSERT_TRUE(alive(child));
  ::kill(pid, SIGKILL);
  EXPECT_EQ(zygote.expect<message::Exited>().wait_status, SIGKILL);
  EXPECT_TRUE(eventually([&] { return !alive(child); }));
}

TEST(ZygoteCommand, OneThatDoesNotGoIsKilledWithItsGroup) {
  ZygoteProcess zygote("");
  message::Load load =
      command("sh -c 'trap : INT TERM; echo $$ >pid; while :; do sleep 0.1; done'");
  load.settings.graceful_timeout_ms = 200;
  load.settings.stop_signal = SIGINT;
  zygote.load(load);
  zygote.expect<message::Loaded>();
  zygote.send(message::Fork{1});
  zygote.find<message::Ready>();
  ASSERT_TRUE(eventually([&] { return number_in(zygote.directory() / "pid") > 0; }));
  zygote.send(message::Drain{1});
  EXPECT_EQ(zygote.expect<message::Exited>().wait_status, SIGKILL);
}

TEST(ZygoteCommand, SettingsOfALaterTuneCount) {
  ZygoteProcess zygote("");
  zygote.load(command("sleep 1000"));
  zygote.expect<message::Loaded>();
  zygote.send(message::Fork{1});
  zygote.find<message::Ready>();
  message::Settings settings;
  settings.revision = 5;
  settings.stop_signal = SIGINT;
  zygote.send(message::Tune{settings});
  EXPECT_EQ(zygote.expect<message::Tuned>().settings_revision, 5);
  zygote.send(message::Drain{1});
  EXPECT_EQ(zygote.expect<message::Exited>().wait_status, SIGINT);
}

TEST(ZygoteCommand, TheNextAppdIsToldOfIt) {
  ZygoteProcess zygote("");
  zygote.load(command("sleep 1000"));
  zygote.expect<message::Loaded>();
  zygote.send(message::Fork{1});
  pid_t pid = zygote.expect<message::Forked>().pid;
  zygote.expect<message::Ready>();
  zygote.disconnect();
  zygote.connect();
  EXPECT_EQ(zygote.expect<message::Loaded>().worker_class, "command");
  EXPECT_EQ(zygote.expect<message::Forked>().pid, pid);
  EXPECT_EQ(zygote.expect<message::Ready>().worker_class, "command");
}

message::Load tasks(std::vector<std::string> commands) {
  message::Load load;
  load.app_uri = "wsgi:app";
  load.run_once = std::move(commands);
  return load;
}

TEST(ZygoteRunOnce, RunsEachTaskAfterTheOtherBeforeItHasLoaded) {
  ZygoteProcess zygote(kHelloApp);
  zygote.load(tasks({"sh -c 'echo one >>ran; echo from one'", "sh -c 'cat ran; echo two >>ran'"}));
  EXPECT_EQ(zygote.expect<message::RunningOnce>().number, 1U);
  auto second = zygote.expect<message::RunningOnce>();
  EXPECT_EQ(second.number, 2U);
  EXPECT_EQ(second.count, 2U);
  auto loaded = zygote.expect<message::Loaded>();
  EXPECT_TRUE(loaded.ran_once);
  EXPECT_TRUE(loaded.preloaded);
  EXPECT_NE(zygote.log().find("from one\n"), std::string::npos);
  EXPECT_NE(zygote.log().find("\none\n"), std::string::npos);
  zygote.send(message::Fork{1});
  zygote.find<message::Ready>();
}

TEST(ZygoteRunOnce, OneThatFailsIsToldWithItsLastLinesAndEndsTheRow) {
  ZygoteProcess zygote(kHelloApp);
  zygote.load(tasks({"sh -c 'echo no such table >&2; exit 4'", "touch second"}));
  zygote.expect<message::RunningOnce>();
  auto failed = zygote.expect<message::RunOnceFailed>();
  EXPECT_NE(failed.summary.find("exited with status 4"), std::string::npos) << failed.summary;
  EXPECT_EQ(failed.output, "no such table\n");
  EXPECT_FALSE(std::filesystem::exists(zygote.directory() / "second"));
}

TEST(ZygoteRunOnce, OneThatIsNotThereFails) {
  ZygoteProcess zygote(kHelloApp);
  zygote.load(tasks({"no-such-program"}));
  auto failed = zygote.expect<message::RunOnceFailed>();
  EXPECT_NE(failed.summary.find("No such file"), std::string::npos) << failed.summary;
}

TEST(ZygoteRunOnce, OneThatTakesTooLongIsEndedWithItsChildren) {
  ZygoteProcess zygote(kHelloApp);
  message::Load load = tasks({"sh -c 'sleep 1000 & echo $! >child; wait'"});
  load.run_once_timeout_ms = 200;
  zygote.load(load);
  auto failed = zygote.find<message::RunOnceFailed>();
  EXPECT_NE(failed.summary.find("run_once_timeout"), std::string::npos) << failed.summary;
  EXPECT_TRUE(eventually([&] { return !alive(number_in(zygote.directory() / "child")); }));
}

TEST(ZygoteRunOnce, AnAppdThatComesInTheMiddleIsToldAndNothingIsRunAgain) {
  ZygoteProcess zygote(kHelloApp);
  zygote.load(tasks({"sh -c 'echo x >>ran; until test -e go; do sleep 0.05; done'"}));
  zygote.expect<message::RunningOnce>();
  zygote.disconnect();
  zygote.connect();
  EXPECT_EQ(zygote.expect<message::RunningOnce>().number, 1U);
  zygote.write("go", "");
  EXPECT_TRUE(zygote.expect<message::Loaded>().ran_once);
  EXPECT_EQ(std::filesystem::file_size(zygote.directory() / "ran"), 2U);
}

TEST(ZygoteRunOnce, AFailureWithoutAnAppdIsKeptForTheNext) {
  ZygoteProcess zygote(kHelloApp);
  zygote.load(tasks({"sh -c 'until test -e go; do sleep 0.05; done; exit 5'"}));
  zygote.expect<message::RunningOnce>();
  zygote.disconnect();
  zygote.write("go", "");
  ASSERT_TRUE(
      eventually([&] { return zygote.log().find("run_once_failed") != std::string::npos; }));
  zygote.connect();
  auto failed = zygote.expect<message::RunOnceFailed>();
  EXPECT_NE(failed.summary.find("exited with status 5"), std::string::npos) << failed.summary;
}

TEST(ZygoteRunOnce, QuitEndsTheTaskAndTheZygote) {
  ZygoteProcess zygote(kHelloApp);
  zygote.load(
      tasks({"sh -c 'trap \"echo told to go; exit 1\" TERM; while :; do sleep 0.05; done'"}));
  zygote.expect<message::RunningOnce>();
  zygote.send(message::Quit{});
  EXPECT_EQ(zygote.wait_exit(), 0);
}

TEST(ZygoteRunOnce, ATaskDoesNotOutliveItsZygote) {
  ZygoteProcess zygote(kHelloApp);
  zygote.load(tasks({"sh -c 'echo $$ >pid; exec sleep 1000'"}));
  zygote.expect<message::RunningOnce>();
  pid_t task = 0;
  ASSERT_TRUE(eventually([&] { return (task = number_in(zygote.directory() / "pid")) > 0; }));
  ::kill(zygote.pid(), SIGKILL);
  EXPECT_EQ(zygote.wait_exit(), SIGKILL);
  EXPECT_TRUE(eventually([&] { return !alive(task); }));
}

}  // namespace
}  // namespace appd::test
