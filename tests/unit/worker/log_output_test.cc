// Prefixes, what becomes of a full disk (/dev/full), and how files are replaced under writers.
#include "worker/net/log_output.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <regex>

#include "tests/support/temporary_directory.h"
#include "worker/net/log_files.h"
#include "worker/net/log_line.h"

namespace appd::net {
namespace {

// Runs `act` in a child with its logs in a directory of its own: all state is a process's.
class LogOutput : public testing::Test {
 protected:
  template <typename F>
  void in_child(F act) {
    pid_t pid = ::fork();
    if (pid == 0) {
      redirect("log");
      act();
      ::_exit(0);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(pid, &status, 0), pid);
    EXPECT_EQ(status, 0);
  }
  int open(const std::string& name) const {
    std::string path = name.front() == '/' ? name : directory_.path(name);
    return ::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  }
  void redirect(const std::string& name) const { replace_log_files(open(name), -1); }
  std::string log(const std::string& name = "log") const { return directory_.read(name); }
  // The log with each prefix of rollout 7 as "<worker>".
  std::string marked() const {
    static const std::regex prefix(R"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z 7/(\d+|-) )");
    return std::regex_replace(log(), prefix, "<$1>");
  }

  test::TemporaryDirectory directory_;
};

TEST_F(LogOutput, LinesBeginWithTimeRolloutAndWorker) {
  in_child([] {
    set_log_prefix(true);
    write_log(1, "too early\n");
    set_log_writer("7/-");
    write_log(1, "zygote\n");
    set_log_writer("7/3");
    write_log(2, "one\ntwo\n\n");
    LogLine("info", "x").add("a", 1);
    set_log_prefix(false);
    write_log(1, "raw\n");
  });
  EXPECT_EQ(marked(),
            "too early\n<->zygote\n<3>one\n<3>two\n<3>\n<3>level=info event=x a=1\nraw\n");
}

TEST_F(LogOutput, ALineInPiecesHasOnePrefix) {
  in_child([] {
    set_log_writer("7/3");
    set_log_prefix(true);
    write_log(1, "a");
    write_log(1, "b\nc");
    write_log(1, "\nd\n");
  });
  EXPECT_EQ(marked(), "<3>ab\n<3>c\n<3>d\n");
}

TEST_F(LogOutput, LongTextIsWholeAndItsLinesHavePrefixes) {
  std::string line(200'000, 'x');
  in_child([&] {
    set_log_writer("7/3");
    set_log_prefix(true);
    write_log(1, "short\n" + line + "\n" + line + "\nend\n");
  });
  EXPECT_EQ(marked(), "<3>short\n<3>" + line + "\n<3>" + line + "\n<3>end\n");
}

// What the counts of `loss` are, in the parent too.
struct SharedLoss {
  SharedLoss() : scoreboard(std::move(Scoreboard::create()).value()) {}
  LogLoss* operator->() const { return &scoreboard.log_loss(); }
  Scoreboard scoreboard;
};

TEST_F(LogOutput, AFullDiskIsCountedAndNeverAnError) {
  SharedLoss loss;
  in_child([&] {
    set_log_loss(loss.operator->());
    redirect("/dev/full");
    write_log(1, "one\ntwo\n");
    LogLine("info", "x");
    write_access_log("GET /\n");
  });
  EXPECT_EQ(loss->lines, 4U);
  EXPECT_EQ(loss->bytes, std::string("one\ntwo\nlevel=info event=x\nGET /\n").size());
}

TEST_F(LogOutput, TellsTheLossOnceWhenThereIsRoomAgain) {
  SharedLoss loss;
  in_child([&] {
    set_log_loss(loss.operator->());
    redirect("/dev/full");
    write_log(1, "one\ntwo\n");
    redirect("log");
    write_log(1, "at once\n");
    loss->failed_ms -= 1'000;  // a second later
    write_log(1, "a\n");
    write_log(1, "b\n");
  });
  EXPECT_EQ(log(), "at once\nlevel=warn event=log_lost lines=2 bytes=8\na\nb\n");
  EXPECT_EQ(loss->lines, 2U) << "the total stays";
}

TEST_F(LogOutput, ALineThatWasCutOffIsEnded) {
  SharedLoss loss;
  in_child([&] {
    set_log_loss(loss.operator->());
    write_log(1, "half a li");
    loss->torn = 1;
    loss->untold_bytes = 3;
    loss->failed_ms = INT64_MAX / 2;
    write_log(1, "next\n");
  });
  EXPECT_EQ(log(), "half a li\nnext\n");
}

TEST_F(LogOutput, TheAccessLogHasItsOwnFileOnceThereIsOne) {
  in_child([&] {
    write_access_log("to the app's log\n");
    replace_log_files(-1, open("access"));
    write_access_log("one\n");
    replace_log_files(-1, open("access2"));
    write_access_log("two\n");
  });
  EXPECT_EQ(log(), "to the app's log\n");
  EXPECT_EQ(log("access"), "one\n");
  EXPECT_EQ(log("access2"), "two\n");
}

TEST_F(LogOutput, ABatchOutlivesItsProcess) {
  AccessBatch* batch = share_access_batch();
  ASSERT_NE(batch, nullptr);
  in_child([&] {
    set_access_batch(batch);
    access_batch().append("answered\n");
  });
  EXPECT_EQ(log(), "");
  in_child([&] { batch->flush(); });  // the zygote
  EXPECT_EQ(log(), "answered\n");
  in_child([&] { batch->flush(); });
  EXPECT_EQ(log(), "answered\n") << "once";
  release_access_batch(batch);
}

TEST_F(LogOutput, ABatchTakesNoMoreThanItHolds) {
  AccessBatch batch;
  EXPECT_FALSE(batch.append(std::string(AccessBatch::kCapacity + 1, 'x')));
  EXPECT_TRUE(batch.append(std::string(AccessBatch::kCapacity, 'x')));
  EXPECT_FALSE(batch.append("y"));
}

TEST_F(LogOutput, NewFilesComeOverALinkEvenToWhoDoesNotReadIt) {
  auto link = log_file_link();
  ASSERT_TRUE(link);
  auto ready = log_file_link();
  in_child([&] {
    pid_t busy = ::fork();
    if (busy == 0) {
      watch_log_file_link(link->second.get());
      ::send(ready->second.get(), "x", 1, 0);
      for (;;) write_log(1, "line\n");
    }
    char byte = 0;
    ::fcntl(ready->first.get(), F_SETFL, 0);
    ::recv(ready->first.get(), &byte, 1, 0);
    send_log_files(link->first.get(), open("old"), -1);
    send_log_files(link->first.get(), open("new"), open("access"));
    if (!log_files_untaken(link->first.get())) ::_exit(1);
    ::kill(busy, SIGUSR1);
    while (directory_.read("new").size() < 1'000) ::usleep(1'000);
    if (log_files_untaken(link->first.get())) ::_exit(2);
    ::kill(busy, SIGKILL);
    ::waitpid(busy, nullptr, 0);
  });
  EXPECT_EQ(log("new").substr(0, 10), "line\nline\n");
}

}  // namespace
}  // namespace appd::net
