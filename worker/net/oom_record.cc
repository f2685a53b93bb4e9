// Reading the counters and the kernel's log.
#include "worker/net/oom_record.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <fstream>
#include <iterator>
#include <vector>

#include "common/unique_fd.h"
#include "worker/net/clock.h"

namespace appd::net {
namespace {

// How old a line of the kernel's log may be to speak of a child that has just ended.
constexpr std::chrono::seconds kRecent{60};

std::string content(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::optional<std::uint64_t> number(std::string_view text) {
  std::uint64_t value = 0;
  auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{}) return std::nullopt;
  return value;
}

std::string_view next_line(std::string_view& rest) {
  std::size_t end = std::min(rest.find('\n'), rest.size());
  std::string_view line = rest.substr(0, end);
  rest.remove_prefix(std::min(end + 1, rest.size()));
  return line;
}

bool in_kernel_log(pid_t pid) {
  UniqueFd log(::open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  if (!log) return false;
  auto now = std::chrono::duration_cast<std::chrono::microseconds>(steady_now().time_since_epoch() -
                                                                   kRecent);
  auto since = static_cast<std::uint64_t>(std::max<std::int64_t>(now.count(), 0));
  std::array<char, 8192> record;
  for (;;) {
    ssize_t size = ::read(log.get(), record.data(), record.size());
    if (size < 0 && errno == EPIPE) continue;  // what we were to read next is overwritten
    if (size <= 0) return false;
    if (kernel_log_tells_of({record.data(), static_cast<std::size_t>(size)}, pid, since)) {
      return true;
    }
  }
}

}  // namespace

std::optional<std::uint64_t> oom_kills_in(std::string_view file) {
  constexpr std::string_view kName = "oom_kill ";
  while (!file.empty()) {
    std::string_view line = next_line(file);
    if (line.starts_with(kName)) return number(line.substr(kName.size()));
  }
  return std::nullopt;
}

std::vector<std::string> oom_counter_paths(std::string_view cgroups) {
  std::vector<std::string> paths;
  while (!cgroups.empty()) {
    std::string_view line = next_line(cgroups);
    std::size_t first = line.find(':');
    std::size_t second = line.find(':', first + 1);
    if (first == std::string_view::npos || second == std::string_view::npos) continue;
    std::string_view controllers = line.substr(first + 1, second - first - 1);
    std::string path(line.substr(second + 1));
    if (path == "/") path.clear();
    if (controllers.empty()) {  // v2, alone or beside v1
      paths.push_back("/sys/fs/cgroup" + path + "/memory.events");
      paths.push_back("/sys/fs/cgroup/unified" + path + "/memory.events");
    } else if (controllers == "memory") {
      paths.insert(paths.begin(), "/sys/fs/cgroup/memory" + path + "/memory.oom_control");
    }
  }
  return paths;
}

// "6,1234,98765,-;Memory cgroup out of memory: Killed process 4242 (python3) …"
bool kernel_log_tells_of(std::string_view record, pid_t pid, std::uint64_t since_us) {
  std::size_t comma = record.find(',', record.find(',') + 1);
  if (comma == std::string_view::npos) return false;
  auto time = number(record.substr(comma + 1));
  std::string words = "Killed process " + std::to_string(pid) + " ";
  return time && *time >= since_us && record.find(words) != std::string_view::npos;
}

void OomRecord::note() {
  kills_.clear();
  for (const std::string& path : oom_counter_paths(content("/proc/self/cgroup"))) {
    if (auto kills = oom_kills_in(content(path))) kills_[path] = *kills;
  }
}

std::string OomRecord::verdict(pid_t pid) {
  std::string said;
  for (auto& [path, before] : kills_) {
    auto kills = oom_kills_in(content(path));
    if (!kills) continue;
    if (*kills <= before) continue;
    ++before;  // of several that died together each has its own
    said = path + " counts one more";
  }
  if (said.empty() && in_kernel_log(pid)) said = "the kernel's log says so";
  return said;
}

}  // namespace appd::net
