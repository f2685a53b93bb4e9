// Programs that write into a pipe, and what of it comes to the log.
#include "worker/net/log_pipe.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <regex>

#include "tests/support/temporary_directory.h"
#include "worker/net/log_files.h"
#include "worker/net/log_output.h"

namespace appd::net {
namespace {

void write_to(int fd, std::string_view text) {
  ASSERT_EQ(::write(fd, text.data(), text.size()), static_cast<ssize_t>(text.size()));
}

// Runs `act` in a child whose log is a file: all state is a process's.
class Piped : public testing::Test {
 protected:
  template <typename F>
  void in_child(F act) {
    pid_t pid = ::fork();
    if (pid == 0) {
      redirect("log");
      set_log_writer("7/-");
      set_log_prefix(true);
      act();
      ::_exit(0);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(pid, &status, 0), pid);
    EXPECT_EQ(status, 0);
  }
  void redirect(const std::string& name) const {
    int file = ::open(directory_.path(name).c_str(), O_WRONLY | O_APPEND | O_CREAT, 0600);
    replace_log_files(file, -1);
  }
  // With each prefix of rollout 7 as "<worker>".
  std::string marked(const std::string& name = "log") const {
    static const std::regex prefix(R"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z 7/(\d+|-) )");
    return std::regex_replace(directory_.read(name), prefix, "<$1>");
  }

  test::TemporaryDirectory directory_;
};

TEST_F(Piped, LinesOfTwoProgramsAreWholeAndTellWhoWroteThem) {
  in_child([] {
    auto one = LogPipe::create("7/1", true);
    auto two = LogPipe::create("7/2", true);
    write_to(one->writing_end(), "a\nb");
    one->read();
    write_to(two->writing_end(), "x\ny\n");
    two->read();
    write_to(one->writing_end(), "c\n");
    one->read();
  });
  EXPECT_EQ(marked(), "<1>a\n<2>x\n<2>y\n<1>bc\n");
}

TEST_F(Piped, GoesToTheFileThatIsTheLogByNow) {
  in_child([this] {
    auto pipe = LogPipe::create("7/1", true);
    write_to(pipe->writing_end(), "one\n");
    pipe->read();
    redirect("log.new");
    write_to(pipe->writing_end(), "two\n");
    pipe->read();
  });
  EXPECT_EQ(marked(), "<1>one\n");
  EXPECT_EQ(marked("log.new"), "<1>two\n");
}

TEST_F(Piped, EndsWithItsLastWriterAndEndsTheLastLine) {
  for (bool outlives_us : {false, true}) {
    in_child([&] {
      auto pipe = LogPipe::create("7/1", outlives_us);
      write_to(pipe->writing_end(), "last words");
      pipe->read();
      if (pipe->fd() < 0) ::_exit(1);
      pipe->close_writing_end();
      pollfd polled{pipe->fd(), POLLIN, 0};
      if (::poll(&polled, 1, 0) != 1) ::_exit(2);
      pipe->read();
      if (pipe->fd() >= 0 || pipe->tail() != "last words") ::_exit(3);
    });
  }
  EXPECT_EQ(marked(), "<1>last words\n<1>last words\n");
}

TEST_F(Piped, ALineWithoutEndIsNotKeptForEver) {
  in_child([] {
    auto pipe = LogPipe::create("7/1", true);
    for (int i = 0; i < 10; ++i) {
      write_to(pipe->writing_end(), std::string(20'000, 'x'));
      pipe->read();
    }
    write_to(pipe->writing_end(), "\nnext\n");
    pipe->read();
    if (pipe->tail().size() != LogPipe::kMostTail) ::_exit(1);
  });
  EXPECT_EQ(marked(), "<1>" + std::string(200'000, 'x') + "\n<1>next\n");
}

TEST_F(Piped, AProgramThatOutlivesItsReaderIsNotKilledByIt) {
  in_child([] {
    ::signal(SIGPIPE, SIG_DFL);
    int program = -1;
    {
      auto pipe = LogPipe::create("7/1", true);
      program = ::dup(pipe->writing_end());
    }
    write_to(program, "nobody reads this\n");
  });
}

}  // namespace
}  // namespace appd::net
