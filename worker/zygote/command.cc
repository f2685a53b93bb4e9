// fork(2) and execvp(3). What the child needs is made before the fork: an app that was loaded here
// may have threads, whose locks stay locked in it.
#include "worker/zygote/command.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "common/exit_status.h"
#include "common/unique_fd.h"
#include "common/zygote_environment.h"

namespace appd::zygote {
namespace {

std::vector<char*> pointers(const std::vector<std::string>& strings) {
  std::vector<char*> out;
  for (const std::string& text : strings) out.push_back(const_cast<char*>(text.c_str()));
  out.push_back(nullptr);
  return out;
}

// In the child. `report` closes when the program runs, else it gets errno.
[[noreturn]] void execute(const Command& command, char* const* argv, char** environment,
                          int report) {
  ::setpgid(0, 0);
  if (command.dies_with_zygote) ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  // Python ignores SIGPIPE, and what is ignored stays so over execve(2).
  for (int signal = 1; signal < NSIG; ++signal) ::signal(signal, SIG_DFL);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  if (command.output >= 0) {
    ::dup2(command.output, STDOUT_FILENO);
    ::dup2(command.output, STDERR_FILENO);
  }
  ::close_range(STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC);
  if (::chdir(command.directory.c_str()) == 0) {
    environ = environment;  // execvp(3) looks for the program in this PATH
    ::execvp(argv[0], argv);
  }
  int error = errno;
  if (::write(report, &error, sizeof(error)) < 0) ::_exit(126);
  ::_exit(127);
}

}  // namespace

Launcher::Launcher() {
  for (char** variable = environ; variable != nullptr && *variable != nullptr; ++variable) {
    environment_.emplace_back(*variable);
  }
}

Result<pid_t> Launcher::start(const Command& command) const {
  std::vector<char*> argv = pointers(command.argv);
  std::vector<std::string> variables = environment_;
  if (command.worker != 0) {
    variables.push_back(std::string(kWorkerVariable) + "=" + std::to_string(command.worker));
  }
  std::vector<char*> environment = pointers(variables);
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) < 0) return sys_error("COMMAND_START", "create a pipe", errno);
  UniqueFd report(ends[0]);
  UniqueFd child_end(ends[1]);
  pid_t pid = ::fork();
  if (pid == 0) execute(command, argv.data(), environment.data(), child_end.get());
  if (pid < 0) return sys_error("COMMAND_START", "fork", errno);
  ::setpgid(pid, pid);  // whichever of us comes first
  child_end.reset();
  int error = 0;
  ssize_t size;
  do {
    size = ::read(report.get(), &error, sizeof(error));
  } while (size < 0 && errno == EINTR);
  if (size == 0) return pid;
  ::waitpid(pid, nullptr, 0);
  return sys_error("COMMAND_START", "run " + command.argv[0] + " in " + command.directory, error);
}

std::string describe_early_end(const std::string& program, int wait_status,
                               std::chrono::nanoseconds after, std::uint32_t startsecs_ms) {
  auto ms = std::chrono::floor<std::chrono::milliseconds>(after).count();
  return program + " " + describe_exit(wait_status) + " " + std::to_string(ms) +
         " ms after its start, within startsecs (" + std::to_string(startsecs_ms) + " ms)";
}

std::string harmless(std::string text) {
  for (char& c : text) {
    auto byte = static_cast<unsigned char>(c);
    if ((byte < 0x20 && c != '\n' && c != '\t') || byte >= 0x7f) c = '?';
  }
  return text;
}

}  // namespace appd::zygote
