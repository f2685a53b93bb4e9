// pidfds, opened first and checked afterwards, so that the number cannot change hands in between.
#include "supervisor/runtime/pid_ref.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>

namespace appd::runtime {
namespace {

Result<UniqueFd> open_pidfd(pid_t pid) {
  int fd = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
  if (fd < 0) return sys_error("PIDFD_OPEN", "open pidfd of " + std::to_string(pid), errno);
  return UniqueFd(fd);
}

std::chrono::nanoseconds ticks(const char* text) {
  static const long per_second = ::sysconf(_SC_CLK_TCK);
  return std::chrono::nanoseconds(std::strtoll(text, nullptr, 10) * (1'000'000'000 / per_second));
}

Error stranger(pid_t pid) {
  return {ErrorCode::NotFound, "PID_STRANGER",
          "process " + std::to_string(pid) + " is not the one meant", 0};
}

}  // namespace

std::optional<ProcessStat> read_stat(pid_t pid) {
  std::string path = "/proc/" + std::to_string(pid) + "/stat";
  UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return std::nullopt;
  std::array<char, 1024> text{};
  if (::read(file.get(), text.data(), text.size() - 1) <= 0) return std::nullopt;
  // The name in parentheses may hold anything: fields are counted after the last ')'.
  const char* field = std::strrchr(text.data(), ')');
  if (field == nullptr) return std::nullopt;
  ProcessStat stat;
  if (const char* name = std::strchr(text.data(), '('); name != nullptr && name < field) {
    stat.name.assign(name + 1, field);
  }
  for (int number = 3; number <= 22; ++number) {
    field = std::strchr(field + 1, ' ');
    if (field == nullptr) return std::nullopt;
    if (number == 3) {
      stat.zombie = field[1] == 'Z' || field[1] == 'X';
      stat.stopped = field[1] == 'T';
    }
    if (number == 6) stat.session = static_cast<pid_t>(std::strtol(field, nullptr, 10));
    if (number == 4) stat.parent = static_cast<pid_t>(std::strtol(field, nullptr, 10));
    if (number == 14 || number == 15) stat.cpu += ticks(field);
    if (number == 16 || number == 17) stat.children_cpu += ticks(field);
    if (number == 22) stat.start_time = std::strtoull(field, nullptr, 10);
  }
  return stat;
}

std::string boot_id() {
  std::string id;
  std::ifstream("/proc/sys/kernel/random/boot_id") >> id;
  return id.empty() ? "-" : id;
}

Result<PidRef> PidRef::open_child(pid_t pid, pid_t parent) {
  UniqueFd pidfd = TRY(open_pidfd(pid));
  auto stat = read_stat(pid);
  if (!stat || stat->parent != parent) return stranger(pid);
  return PidRef(pid, std::move(pidfd));
}

Result<PidRef> PidRef::open(pid_t pid, std::uint64_t start_time) {
  UniqueFd pidfd = TRY(open_pidfd(pid));
  auto stat = read_stat(pid);
  if (!stat || stat->start_time != start_time) return stranger(pid);
  return PidRef(pid, std::move(pidfd));
}

Result<PidRef> PidRef::open_own_child(pid_t pid) {
  UniqueFd pidfd = TRY(open_pidfd(pid));
  return PidRef(pid, std::move(pidfd));
}

void PidRef::signal(int number) const {
  if (pidfd_) ::syscall(SYS_pidfd_send_signal, pidfd_.get(), number, nullptr, 0);
}

void PidRef::signal_group(int number) const {
  // While it is there, its number is the group's too.
  bool there = pidfd_ && ::syscall(SYS_pidfd_send_signal, pidfd_.get(), 0, nullptr, 0) == 0;
  if (!there || ::kill(-pid_, number) < 0) signal(number);
}

Result<UniqueFd> PidRef::take_descriptor(int number) const {
  UniqueFd copy(static_cast<int>(::syscall(SYS_pidfd_getfd, pidfd_.get(), number, 0)));
  if (!copy) {
    return sys_error("PIDFD_GETFD", "take a descriptor of process " + std::to_string(pid_), errno);
  }
  return copy;
}

std::optional<int> PidRef::reap() const {
  siginfo_t info{};
  if (::waitid(P_PIDFD, static_cast<id_t>(pidfd_.get()), &info, WEXITED | WNOHANG) < 0 ||
      info.si_pid == 0) {
    return std::nullopt;
  }
  // Back into waitpid(2)'s form, which the zygote reports too.
  if (info.si_code == CLD_EXITED) return W_EXITCODE(info.si_status, 0);
  return W_EXITCODE(0, info.si_status);
}

}  // namespace appd::runtime
