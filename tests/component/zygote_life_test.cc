// The life of workers: forks, drains, kills, timeouts, and an appd that comes and goes.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>

#include <fstream>
#include <iterator>
#include <map>
#include <set>

#include "tests/component/zygote_process.h"
#include "tests/support/eventually.h"
#include "tests/support/http_client.h"

namespace appd::test {
namespace {

// What its descriptors are, without numbers.
std::multiset<std::string> descriptors_of(pid_t pid) {
  std::multiset<std::string> held;
  std::error_code gone;  // a descriptor that is closed while we look
  for (const auto& entry :
       std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/fd")) {
    std::string target = std::filesystem::read_symlink(entry.path(), gone).string();
    held.insert(target.substr(0, target.find('[')));
  }
  return held;
}

TEST(ZygoteLife, ForksWorkersThatServe) {
  ZygoteProcess zygote(kHelloApp);
  zygote.serve(3);
  EXPECT_EQ(fetch(zygote.port(), "/").body, "hello");
  for (std::uint32_t worker = 1; worker <= 3; ++worker) EXPECT_GT(zygote.slot(worker).pid, 0);
}

TEST(ZygoteLife, RefusesToForkTheSameWorkerTwice) {
  ZygoteProcess zygote(kHelloApp);
  zygote.serve(1);
  zygote.send(message::Fork{1});
  EXPECT_EQ(zygote.expect<message::ForkFailed>().worker, 1U);
}

TEST(ZygoteLife, ADrainedIdleWorkerExitsAtOnceWithStatusZero) {
  ZygoteProcess zygote(kHelloApp);
  zygote.serve(1);
  zygote.send(message::Drain{1});
  auto exited = zygote.expect<message::Exited>();
  EXPECT_EQ(exited.worker, 1U);
  EXPECT_EQ(exited.wait_status, 0);
  EXPECT_EQ(exited.cause, message::ExitCause::Asked);
  EXPECT_EQ(zygote.slot(1).pid, 0);
}

TEST(ZygoteLife, ADrainingWorkerFinishesTheRequestInHand) {
  ZygoteProcess zygote(kHelloApp);
  zygote.serve(1);
  HttpClient client(zygote.port());
  ASSERT_TRUE(client.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n"));
  ASSERT_TRUE(eventually([&] { return zygote.slot(1).busy != 0; }));
  zygote.send(message::Drain{1});
  auto answer = client.receive();
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->status, 200);
  EXPECT_EQ(zygote.expect<message::Exited>().wait_status, 0);
}

TEST(ZygoteLife, ADrainingWorkerStillAnswersARequestOnAnIdleConnection) {
  ZygoteProcess zygote(kHelloApp);
  zygote.serve(1);
  HttpClient client(zygote.port());
  ASSERT_EQ(client.get("/").value_or(Answer{}).status, 200);
  zygote.send(message::Drain{1});
  std::optional<Answer> answer;
  // The first of them may overtake the message.
  ASSERT_TRUE(eventually([&] {
    answer = client.get("/");
    return !answer || answer->closes();
  }));
  EXPECT_TRUE(answer.has_value());
  EXPECT_TRUE(client.ended());
  EXPECT_EQ(zygote.expect<message::Exited>().wait_status, 0);
}

TEST(ZygoteLife, SigtermByHandDrainsAWorker) {
  ZygoteProcess zygote(kHelloApp);
  zygote.serve(1);
  ::kill(zygote.slot(1).pid, SIGTERM);
  auto exited = zygote.expect<message::Exited>();
  EXPECT_EQ(exited.wait_status, 0);
  EXPECT_EQ(exited.cause, message::ExitCause::Own);
}

TEST(ZygoteLife, ReportsAKilledWorker) {
  ZygoteProcess zygote(kHelloApp);
  zygote.serve(1);
  ::kill(zygote.slot(1).pid, SIGKILL);
  auto exited = zygote.expect<message::Exited>();
  EXPECT_TRUE(WIFSIGNALED(exited.wait_status));
  EXPECT_EQ(exited.cause, message::ExitCause::Own);
}

TEST(ZygoteLife, KillsOnRequest) {
  ZygoteProcess zygote(kHelloApp);
  zygote.serve(1);
  zygote.send(message::Kill{1});
  auto exited = zygote.expect<message::Exited>();
  EXPECT_EQ(WTERMSIG(exited.wait_status), SIGKILL);
  EXPECT_EQ(exited.cause, message::ExitCause::Asked);
}

TEST(ZygoteLife, KillsAWorkerWhoseRequestIsOverTheTimeout) {
  ZygoteProcess zygote(kHelloApp);
  message::Settings settings;
  settings.timeout_ms = 200;
  zygote.serve(1, settings);
  HttpClient client(zygote.port());
  ASSERT_TRUE(client.send("GET /stuck HTTP/1.1\r\nHost: a\r\n\r\n"));
  auto exited = zygote.expect<message::Exited>();
  EXPECT_EQ(exited.cause, message::ExitCause::Timeout);
  EXPECT_TRUE(exited.detail.starts_with("GET /stuck after ")) << exited.detail;
  EXPECT_NE(zygote.log().find("event=timeout"), std::string::npos);
}

TEST(ZygoteLife, CutsOffWhatIsNotDoneAtTheGracefulTimeout) {
  ZygoteProcess zygote(kHelloApp);
  message::Settings settings;
  settings.graceful_timeout_ms = 200;
  zygote.serve(1, settings);
  HttpClient client(zygote.port());
  ASSERT_TRUE(client.send("GET /stuck HTTP/1.1\r\nHost: a\r\n\r\n"));
  ASSERT_TRUE(eventually([&] { return zygote.slot(1).busy != 0; }));
  zygote.send(message::Drain{1});
  EXPECT_EQ(zygote.expect<message::Exited>().cause, message::ExitCause::GracefulTimeout);
}

TEST(ZygoteLife, TunesEveryWorkerAndLaterOnes) {
  ZygoteProcess zygote(kHelloApp);
  zygote.serve(2);
  message::Settings settings;
  settings.revision = 5;
  settings.threads = 4;
  zygote.send(message::Tune{settings});
  EXPECT_EQ(zygote.expect<message::Tuned>().settings_revision, 5);
  EXPECT_EQ(zygote.expect<message::Tuned>().settings_revision, 5);
  EXPECT_EQ(zygote.slot(1).threads, 4U);
  zygote.send(message::Fork{3});
  zygote.expect<message::Forked>();
  EXPECT_EQ(zygote.expect<message::Ready>().settings_revision, 5);
  EXPECT_EQ(zygote.slot(3).threads, 4U);
}

TEST(ZygoteLife, QuitDrainsAllAndEndsTheZygote) {
  ZygoteProcess zygote(kHelloApp);
  zygote.serve(2);
  zygote.send(message::Quit{});
  zygote.expect<message::Exited>();
  zygote.expect<message::Exited>();
  EXPECT_EQ(zygote.wait_exit(), 0);
}

TEST(ZygoteLife, SigtermByHandIsQuit) {
  ZygoteProcess zygote(kHelloApp);
  zygote.serve(2);
  ::kill(zygote.pid(), SIGTERM);
  zygote.expect<message::Exited>();
  zygote.expect<message::Exited>();
  EXPECT_EQ(zygote.wait_exit(), 0);
}

TEST(ZygoteLife, WorkersServeOnWithoutAppdAndTheNextOneIsToldEverything) {
  ZygoteProcess zygote(kHelloApp);
  zygote.serve(3);
  pid_t second = zygote.slot(2).pid;
  zygote.disconnect();
  EXPECT_EQ(fetch(zygote.port(), "/").body, "hello");
  ::kill(zygote.slot(1).pid, SIGKILL);
  ASSERT_TRUE(eventually([&] { return zygote.slot(1).pid == 0; }));

  zygote.connect();
  EXPECT_EQ(zygote.hello().app, "test");
  EXPECT_EQ(zygote.hello().rollout, 7);
  EXPECT_EQ(zygote.hello_descriptors(), 2U);
  EXPECT_TRUE(zygote.expect<message::Loaded>().preloaded);
  std::map<std::uint32_t, pid_t> forked;
  for (int i = 0; i < 2; ++i) {
    auto one = zygote.expect<message::Forked>();
    forked[one.worker] = one.pid;
    EXPECT_EQ(zygote.expect<message::Ready>().worker, one.worker);
  }
  EXPECT_EQ(forked.size(), 2U);
  EXPECT_EQ(forked[2], second);
  EXPECT_EQ(zygote.expect<message::Exited>().worker, 1U);
}

bool is_zombie(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  const std::string stat{std::istreambuf_iterator<char>(file), {}};
  return stat.find(") Z ") != std::string::npos;
}

// It has an exit to tell, and cannot, before it reads what was sent to it.
TEST(ZygoteLife, WhatAnAppdSaidBeforeItDiedIsHeardAndToldToTheNext) {
  ZygoteProcess zygote(kHelloApp);
  zygote.serve(2);
  message::Stage stage;
  stage.phase = message::StagePhase::Switching;
  stage.surge = 3;
  ::kill(zygote.pid(), SIGSTOP);
  const pid_t victim = zygote.slot(1).pid;
  ::kill(victim, SIGKILL);
  ASSERT_TRUE(eventually([&] { return is_zombie(victim); }));
  zygote.send(stage);
  zygote.send(message::Fork{3});
  zygote.disconnect();
  ::kill(zygote.pid(), SIGCONT);

  zygote.connect();
  EXPECT_EQ(zygote.hello().stage, stage);
  zygote.expect<message::Loaded>();
  EXPECT_EQ(zygote.find<message::Exited>().worker, 1U);
}

TEST(ZygoteLife, AZygoteThatCouldNotLoadEndsWithItsAppd) {
  ZygoteProcess zygote("");
  message::Load load;
  load.app_uri = "nowhere:app";
  zygote.load(load);
  zygote.expect<message::LoadFailed>();
  zygote.disconnect();
  EXPECT_EQ(zygote.wait_exit(), 0);
}

TEST(ZygoteLife, WorkersOutliveAKilledZygote) {
  ZygoteProcess zygote(kHelloApp);
  zygote.serve(1);
  ::kill(zygote.pid(), SIGKILL);
  zygote.wait_exit();
  EXPECT_EQ(fetch(zygote.port(), "/").body, "hello");
  ::kill(zygote.slot(1).pid, SIGKILL);
}

TEST(ZygoteLife, AWorkerHoldsNoDescriptorThatIsNotItsOwn) {
  ZygoteProcess zygote(kHelloApp);
  zygote.serve(3);
  fetch(zygote.port(), "/");
  // The worker may not have seen yet that the client has gone.
  std::multiset<std::string> held;
  eventually([&] {
    held = descriptors_of(zygote.slot(3).pid);
    return held.size() == 14;
  });
  EXPECT_EQ(held.count("socket:"), 5U)
      << "listener, link to the zygote, the workers' common queue, the link for new log files";
  EXPECT_EQ(held.count("anon_inode:"), 4U)
      << "epoll and eventfd of engine, and of parking and monitor";
  EXPECT_EQ(held.size(), 14U) << "and 0 to 2, the scoreboard, and where its stacks go";
}

TEST(ZygoteLife, RunsAtexitAndFlushesWhenAWorkerLeaves) {
  ZygoteProcess zygote(std::string(kHelloApp) +
                       "import atexit\natexit.register(print, 'bye', end='')\n");
  zygote.serve(1);
  zygote.send(message::Drain{1});
  zygote.expect<message::Exited>();
  EXPECT_NE(zygote.log().find("bye"), std::string::npos);
}

}  // namespace
}  // namespace appd::test
