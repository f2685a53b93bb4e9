// fork, exec, and a pipe that is read until its end or the deadline.
#include "ctl/doctor/interpreter.h"

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <nlohmann/json.hpp>

#include "common/unique_fd.h"

namespace appd::ctl {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr std::chrono::seconds kPatience{20};
constexpr std::size_t kMostOutput = 64 * 1024;

constexpr const char* kQuestion = R"(
import importlib.util, json, platform, sys, sysconfig
print(json.dumps({
    "version": platform.python_version(),
    "implementation": sys.implementation.name,
    "free_threaded": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
    "missing": [name for name in sys.argv[1:] if importlib.util.find_spec(name) is None],
}))
)";

Error broken(std::string message) {
  return {ErrorCode::FailedPrecondition, "INTERPRETER_FAILED", std::move(message), 0};
}

// A user with the groups that they have when they log in.
struct Identity {
  uid_t user = 0;
  gid_t group = 0;
  std::vector<gid_t> others;
};

Identity identity_of(unsigned user) {
  const passwd* entry = ::getpwuid(user);
  if (entry == nullptr) return {user, user, {}};
  Identity identity{user, entry->pw_gid, std::vector<gid_t>(64)};
  int count = static_cast<int>(identity.others.size());
  const bool all =
      ::getgrouplist(entry->pw_name, entry->pw_gid, identity.others.data(), &count) >= 0;
  if (all) identity.others.resize(static_cast<std::size_t>(count));
  return identity;
}

bool take_on(const Identity& identity) {
  return ::setgroups(identity.others.size(), identity.others.data()) == 0 &&
         ::setgid(identity.group) == 0 && ::setuid(identity.user) == 0;
}

// In the child: nothing here may allocate.
[[noreturn]] void become(char* const* arguments, char* const* environment, int output,
                         const Identity& identity) {
  ::dup2(output, STDOUT_FILENO);
  ::dup2(output, STDERR_FILENO);
  const int nothing = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  ::dup2(nothing, STDIN_FILENO);
  const bool other = identity.user != 0 && ::geteuid() == 0;
  if (::chdir("/") < 0 || (other && !take_on(identity))) ::_exit(126);
  ::execve(arguments[0], arguments, environment);
  ::_exit(errno == ENOENT ? 127 : 126);
}

// False: the deadline has come.
bool read_until_end(int fd, steady_clock::time_point deadline, std::string& text) {
  std::array<char, 4096> chunk{};
  while (true) {
    const auto left =
        std::chrono::duration_cast<milliseconds>(deadline - steady_clock::now()).count();
    pollfd readable{fd, POLLIN, 0};
    if (left <= 0 || ::poll(&readable, 1, static_cast<int>(left)) == 0) return false;
    const ssize_t count = ::read(fd, chunk.data(), chunk.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return true;
    if (text.size() < kMostOutput) text.append(chunk.data(), static_cast<std::size_t>(count));
  }
}

std::string last_line(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.remove_suffix(1);
  return std::string(text.substr(text.rfind('\n') + 1));
}

}  // namespace

Result<Interpreter> parse_interpreter(const std::string& output) {
  // What is printed before comes of a sitecustomize.
  const nlohmann::json answer =
      nlohmann::json::parse(last_line(output), nullptr, /*allow_exceptions=*/false);
  if (!answer.is_object()) return broken("answers \"" + last_line(output) + "\"");
  Interpreter found;
  try {
    answer.at("version").get_to(found.version);
    answer.at("implementation").get_to(found.implementation);
    answer.at("free_threaded").get_to(found.free_threaded);
    answer.at("missing").get_to(found.missing);
  } catch (const nlohmann::json::exception&) {
    return broken("answers \"" + last_line(output) + "\"");
  }
  return found;
}

Result<Interpreter> ask_interpreter(const std::string& python, unsigned user,
                                    std::span<const std::string> modules) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) < 0) return sys_error("PIPE_FAILED", "make a pipe", errno);
  const UniqueFd output(ends[0]);
  UniqueFd input(ends[1]);
  std::vector<std::string> words{python, "-c", kQuestion};
  words.insert(words.end(), modules.begin(), modules.end());
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  std::string path = "PATH=/usr/local/bin:/usr/bin:/bin";
  std::string language = "LANG=C.UTF-8";
  const std::array<char*, 3> environment{path.data(), language.data(), nullptr};

  const Identity identity = identity_of(user);
  const pid_t child = ::fork();
  if (child < 0) return sys_error("FORK_FAILED", "start " + python, errno);
  if (child == 0) become(arguments.data(), environment.data(), input.get(), identity);
  input.reset();
  std::string text;
  const bool ended = read_until_end(output.get(), steady_clock::now() + kPatience, text);
  if (!ended) ::kill(child, SIGKILL);  // not reaped: the pid is still its own
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
  if (!ended) return broken("has not answered within 20 s");
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return parse_interpreter(text);
  if (!text.empty()) return broken(last_line(text));
  if (WIFSIGNALED(status)) {
    return broken("was ended by signal " + std::to_string(WTERMSIG(status)));
  }
  return broken(WEXITSTATUS(status) == 127 ? "does not start: it, or the loader that it names, is "
                                             "not there"
                                           : "cannot be executed by its user");
}

}  // namespace appd::ctl
