// /proc, read with care: everything in it may change while it is read.
#include "supervisor/runtime/orphans.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <string_view>

#include "common/zygote_environment.h"

namespace appd::runtime {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kScoreboardFile = "/memfd:appd-scoreboard";

template <typename Number>
std::optional<Number> whole_number(std::string_view text) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::string proc(pid_t pid, const char* file) {
  return "/proc/" + std::to_string(pid) + "/" + file;
}

// The value that the process was started with; its own changes do not show.
std::optional<std::string> environment_of(pid_t pid, std::string_view name) {
  std::ifstream file(proc(pid, "environ"), std::ios::binary);
  const std::string all{std::istreambuf_iterator<char>(file), {}};
  for (std::size_t at = 0; at < all.size();) {
    const std::string_view variable = all.c_str() + at;
    at += variable.size() + 1;
    if (variable.size() > name.size() && variable.substr(0, name.size()) == name &&
        variable[name.size()] == '=') {
      return std::string(variable.substr(name.size() + 1));
    }
  }
  return std::nullopt;
}

// Whatever is in the directory, until it is read or vanishes.
template <typename Each>
void each_entry(const std::string& directory, Each each) {
  std::error_code failed;
  fs::directory_iterator entry(directory, failed);
  for (; !failed && entry != fs::directory_iterator(); entry.increment(failed)) each(entry->path());
}

template <typename Each>
void each_descriptor(pid_t pid, Each each) {
  each_entry(proc(pid, "fd"), [&](const fs::path& path) {
    std::error_code gone;
    const std::string target = fs::read_symlink(path, gone).string();
    if (!gone) each(path, target);
  });
}

// "/proc/7/fd/9", or empty.
std::string scoreboard_path(pid_t pid) {
  std::string found;
  each_descriptor(pid, [&](const fs::path& path, const std::string& target) {
    if (target.rfind(kScoreboardFile, 0) == 0) found = path.string();
  });
  return found;
}

// Not valid where there is none, or the system does not let us look.
Scoreboard scoreboard_of(pid_t pid) {
  const std::string path = scoreboard_path(pid);
  if (path.empty()) return {};
  auto scoreboard = Scoreboard::open(UniqueFd(::open(path.c_str(), O_RDWR | O_CLOEXEC)));
  return scoreboard ? *std::move(scoreboard) : Scoreboard();
}

bool proves_session(pid_t pid, const std::string& token) {
  const auto told = environment_of(pid, kZygoteVariable);
  if (told) return *told == token;
  return !scoreboard_path(pid).empty();
}

// Commands have been told their number; workers carry it in their name, "appd:web:17".
core::WorkerId worker_of(pid_t pid, const ProcessStat& stat) {
  std::optional<core::WorkerId> number;
  if (::getpgid(pid) == pid) {
    number = whole_number<core::WorkerId>(environment_of(pid, kWorkerVariable).value_or(""));
  } else if (stat.name.rfind("appd:", 0) == 0) {
    number =
        whole_number<core::WorkerId>(std::string_view(stat.name).substr(stat.name.rfind(':') + 1));
  }
  return number && *number < kMaxSlots ? *number : 0;
}

// "appd:web". A fork takes its own name before all else.
bool has_zygotes_name(const ProcessStat& stat) {
  return stat.name.rfind("appd:", 0) == 0 && stat.name.find(':', 5) == stat.name.npos;
}

// One that has named itself otherwise is known by its slot.
core::WorkerId worker_by_slot(pid_t pid) {
  Scoreboard scoreboard = scoreboard_of(pid);
  for (std::uint32_t slot = 1; scoreboard.valid() && slot < kMaxSlots; ++slot) {
    if (scoreboard.slot(slot).pid.load(std::memory_order_relaxed) == pid) return slot;
  }
  return 0;
}

std::chrono::milliseconds age_of(std::uint64_t start_time) {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  const auto ticks = static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK));
  const std::int64_t alive = now.tv_sec * 1000 + now.tv_nsec / 1'000'000 -
                             static_cast<std::int64_t>(start_time * 1000 / ticks);
  return std::chrono::milliseconds(std::max<std::int64_t>(alive, 0));
}

std::optional<SessionMember> member(pid_t pid, const Owner& owner) {
  auto stat = read_stat(pid);
  if (!stat || stat->session != owner.pid || pid == owner.pid) return std::nullopt;
  if (stat->zombie || stat->start_time < owner.start_time) return std::nullopt;
  auto process = PidRef::open(pid, stat->start_time);
  if (!process) return std::nullopt;
  core::WorkerId worker = worker_of(pid, *stat);
  if (worker == 0) worker = worker_by_slot(pid);
  return SessionMember{*std::move(process), stat->start_time, worker,
                       worker == 0 && has_zygotes_name(*stat), age_of(stat->start_time)};
}

}  // namespace

std::vector<SessionMember> find_session(const Owner& owner, const std::string& token) {
  std::vector<SessionMember> members;
  if (owner.boot != boot_id()) return members;
  bool proven = false;
  each_entry("/proc", [&](const fs::path& path) {
    const auto pid = whole_number<pid_t>(path.filename().string());
    auto found = pid ? member(*pid, owner) : std::nullopt;
    if (!found) return;
    proven = proven || proves_session(*pid, token);
    members.push_back(*std::move(found));
  });
  if (!proven) members.clear();
  return members;
}

bool end_newborn(const SessionMember& newborn) {
  constexpr int kMostLooks = 1000;
  newborn.process.signal(SIGSTOP);
  for (int look = 0; look < kMostLooks; ++look) {
    auto stat = read_stat(newborn.process.pid());
    if (!stat || stat->start_time != newborn.start_time || stat->zombie) return true;
    if (!has_zygotes_name(*stat)) break;
    if (stat->stopped) {
      newborn.process.signal(SIGKILL);
      return true;
    }
    ::poll(nullptr, 0, 1);
  }
  newborn.process.signal(SIGCONT);
  return false;
}

Scoreboard borrow_scoreboard(const PidRef& worker) { return scoreboard_of(worker.pid()); }

std::vector<UniqueFd> borrow_listeners(const PidRef& worker) {
  std::vector<UniqueFd> listeners;
  each_descriptor(worker.pid(), [&](const fs::path& path, const std::string& target) {
    if (target.rfind("socket:", 0) != 0) return;
    const auto number = whole_number<int>(path.filename().string());
    auto copy = number ? worker.take_descriptor(*number) : Result<UniqueFd>(UniqueFd());
    if (!copy || !*copy) return;
    int listening = 0;
    socklen_t size = sizeof(listening);
    if (::getsockopt(copy->get(), SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) == 0 &&
        listening != 0) {
      listeners.push_back(*std::move(copy));
    }
  });
  return listeners;
}

}  // namespace appd::runtime
