// posix_spawn(3) for the check, execve(2) for the change itself.
#include "supervisor/runtime/succession.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <sstream>

#include "common/exit_status.h"
#include "supervisor/model/text.h"
#include "supervisor/runtime/spawn_parts.h"

namespace appd::runtime {
namespace {

using std::chrono::steady_clock;

constexpr char kVariable[] = "APPD_INHERIT";
const std::string kNone = "-";
constexpr std::chrono::seconds kCheckTime{20};
constexpr std::size_t kMostOutput = 16 * 1024;
constexpr std::string_view kAnswer = "appd ";

Error refused(const std::string& message) {
  return {ErrorCode::FailedPrecondition, "UPGRADE_REFUSED", message, 0};
}

std::vector<std::string> words_of(const Invocation& invocation) {
  std::vector<std::string> words{invocation.binary};
  words.insert(words.end(), invocation.arguments.begin(), invocation.arguments.end());
  return words;
}

std::string last_line(std::string text) {
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text.substr(text.rfind('\n') + 1);
}

void keep_open(int fd, bool yes) { ::fcntl(fd, F_SETFD, yes ? 0 : FD_CLOEXEC); }

struct Output {
  std::string text;
  bool in_time = false;
};

// Until whoever writes has closed it.
Output read_all(int fd) {
  Output output;
  const auto limit = steady_clock::now() + kCheckTime;
  std::array<char, 4096> buffer{};
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(limit - steady_clock::now());
    pollfd readable{fd, POLLIN, 0};
    if (left.count() <= 0 || ::poll(&readable, 1, static_cast<int>(left.count())) == 0) {
      return output;
    }
    const ssize_t size = ::read(fd, buffer.data(), buffer.size());
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) {
      output.in_time = true;
      return output;
    }
    if (output.text.size() < kMostOutput) {
      output.text.append(buffer.data(), static_cast<std::size_t>(size));
    }
  }
}

Result<pid_t> spawn_check(std::vector<std::string> words, int output) {
  FileActions files;
  ::posix_spawn_file_actions_addopen(files.get(), 0, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_adddup2(files.get(), output, 1);
  ::posix_spawn_file_actions_adddup2(files.get(), output, 2);
  ::posix_spawn_file_actions_addclosefrom_np(files.get(), 3);
  pid_t pid = 0;
  const std::string binary = words.front();
  const int failed =
      ::posix_spawn(&pid, binary.c_str(), files.get(), nullptr, pointers(words).data(), environ);
  if (failed != 0) return refused(sys_error("", "run " + binary, failed).message);
  return pid;
}

}  // namespace

Inheritance Inheritance::take() {
  Inheritance out;
  const char* variable = std::getenv(kVariable);
  if (variable == nullptr) return out;
  std::istringstream words(variable);
  int lock = -1;
  std::size_t entrances = 0;
  words >> out.version >> out.request_id >> out.fingerprint >> lock >> entrances;
  if (out.request_id == kNone) out.request_id.clear();
  keep_open(lock, false);
  out.lock = UniqueFd(lock);
  for (int fd = -1; entrances > 0 && words >> fd; --entrances) {
    keep_open(fd, false);
    out.entrances.emplace_back(fd);
  }
  ::unsetenv(kVariable);
  return out;
}

Invocation Invocation::of_this_process(int argc, char** argv) {
  return {std::filesystem::read_symlink("/proc/self/exe").string(), {argv + 1, argv + argc}};
}

Result<std::string> check_binary(const Invocation& next) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) < 0) return refused(sys_error("", "create a pipe", errno).message);
  UniqueFd reading(ends[0]);
  UniqueFd writing(ends[1]);
  Invocation check = next;
  check.arguments.insert(check.arguments.begin(), "--check");
  const pid_t pid = TRY(spawn_check(words_of(check), writing.get()));
  writing.reset();
  const Output output = read_all(reading.get());
  if (!output.in_time) ::kill(pid, SIGKILL);  // ours and not waited for: the number is its own
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  const std::string said = model::utf8(last_line(output.text));
  if (!output.in_time) {
    return refused(next.binary + " --check has not ended within " +
                   std::to_string(kCheckTime.count()) + " s");
  }
  if (status != 0) {
    return refused(next.binary + " --check " + describe_exit(status) +
                   (said.empty() ? "" : ": " + said));
  }
  if (said.rfind(kAnswer, 0) != 0) {
    return refused(next.binary + " is no appd: asked to --check, it says " +
                   model::in_quotes(said));
  }
  return said.substr(kAnswer.size(), said.find(' ', kAnswer.size()) - kAnswer.size());
}

Error become(const Invocation& next, const Legacy& legacy) {
  const bool nobody = legacy.request_id.empty();
  std::string variable = legacy.version + " " + (nobody ? kNone : legacy.request_id) + " " +
                         (nobody ? kNone : legacy.fingerprint) + " " + std::to_string(legacy.lock) +
                         " " + std::to_string(legacy.entrances.size());
  for (int fd : legacy.entrances) variable += " " + std::to_string(fd);
  auto keep_all = [&](bool yes) {
    keep_open(legacy.lock, yes);
    for (int fd : legacy.entrances) keep_open(fd, yes);
  };
  std::vector<std::string> variables{std::string(kVariable) + "=" + variable};
  for (char** each = environ; *each != nullptr; ++each) variables.emplace_back(*each);
  std::vector<std::string> words = words_of(next);
  std::vector<char*> argv = pointers(words);
  std::vector<char*> envp = pointers(variables);
  keep_all(true);
  ::execve(next.binary.c_str(), argv.data(), envp.data());
  const int error = errno;
  keep_all(false);
  return refused(sys_error("", "execute " + next.binary, error).message);
}

}  // namespace appd::runtime
