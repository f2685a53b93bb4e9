// What an armed failpoint does. The table is read once in a process, so each test is one of its
// own.
#include "common/failpoint.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

namespace appd {
namespace {

// In a child with these points armed: how it ended. It exits with 0 if `body` is true.
template <typename Body>
int with(const char* points, Body body) {
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::setenv("APPD_FAILPOINTS", points, 1);
    ::_exit(body() ? 0 : 1);
  }
  int status = 0;
  ::waitpid(pid, &status, WUNTRACED);
  if (WIFSTOPPED(status)) {
    ::kill(pid, SIGCONT);
    int end = 0;
    ::waitpid(pid, &end, 0);
    EXPECT_EQ(end, 0) << "it goes on";
  }
  return status;
}

TEST(Failpoint, NoneIsArmedWithoutTheVariable) {
  EXPECT_FALSE(failpoints::armed);
  EXPECT_EQ(failpoint("store.commit"), 0);
  EXPECT_EQ(with("", [] { return failpoints::check() && failpoints::hit("a") == 0; }), 0);
}

TEST(Failpoint, KillsAtTheNthTime) {
  int status = with("a=kill:3", [] {
    failpoints::hit("a");
    failpoints::hit("b");
    failpoints::hit("a");
    ::raise(SIGUSR1);  // would be the end, too, but not this one
    return true;
  });
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGUSR1) << "two times are not three";
  status = with("a=kill:3", [] {
    for (int i = 0; i < 3; ++i) failpoints::hit("a");
    return true;
  });
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

TEST(Failpoint, PausesUntilSomebodyLetsItGoOn) {
  int status = with("x=kill,a=pause", [] { return failpoints::hit("a") == 0; });
  EXPECT_TRUE(WIFSTOPPED(status));
}

TEST(Failpoint, FailsWithTheErrnoThatIsNamed) {
  EXPECT_EQ(with("a=error:ENOSPC",
                 [] {
                   return failpoints::hit("a") == ENOSPC && failpoints::hit("a") == ENOSPC &&
                          failpoints::hit("b") == 0;
                 }),
            0);
  EXPECT_EQ(with("a=error:EIO:2",
                 [] {
                   return failpoints::hit("a") == 0 && failpoints::hit("a") == EIO &&
                          failpoints::hit("a") == 0;
                 }),
            0);
}

TEST(Failpoint, WhatMakesNoSenseIsNamed) {
  for (const char* wrong : {"a", "a=", "=kill", "a=explode", "a=kill:0", "a=kill:x", "a=error",
                            "a=error:EWHAT", "a=kill,b=error:ENOSPC:no"}) {
    EXPECT_EQ(with(wrong,
                   [] {
                     auto checked = failpoints::check();
                     return !checked &&
                            checked.error().message.find("APPD_FAILPOINTS") != std::string::npos;
                   }),
              0)
        << wrong;
  }
}

}  // namespace
}  // namespace appd
