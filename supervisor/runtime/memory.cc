// The kernel's files about memory. Where one is missing or unreadable, it limits nothing.
#include "supervisor/runtime/memory.h"

#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <sstream>
#include <string_view>

namespace appd::runtime {
namespace {

constexpr std::int64_t kUnlimited = std::numeric_limits<std::int64_t>::max();

// The number behind a word at the beginning of a line: "MemAvailable:   21277068 kB".
std::optional<std::int64_t> number_after(std::istream& file, std::string_view word) {
  std::string line;
  while (std::getline(file, line)) {
    if (!std::string_view(line).starts_with(word)) continue;
    std::istringstream rest(line.substr(word.size()));
    std::int64_t number = 0;
    if (rest >> number) return number;
  }
  return std::nullopt;
}

// "max" and what is not there are no numbers.
std::optional<std::int64_t> number_in(const std::string& path) {
  std::ifstream file(path);
  std::int64_t number = 0;
  if (!(file >> number)) return std::nullopt;
  return number;
}

// How the two versions name what we need.
struct Version {
  const char* limit;
  const char* usage;
  const char* cache;  // given back when it is needed
};
constexpr Version kVersion1{"memory.limit_in_bytes", "memory.usage_in_bytes",
                            "total_inactive_file "};
constexpr Version kVersion2{"memory.max", "memory.current", "inactive_file "};

std::int64_t room_of(const std::string& folder, const Version& version) {
  const auto limit = number_in(folder + "/" + version.limit);
  const auto usage = number_in(folder + "/" + version.usage);
  if (!limit || !usage) return kUnlimited;
  std::ifstream stat(folder + "/memory.stat");
  const std::int64_t cache = number_after(stat, version.cache).value_or(0);
  return std::max<std::int64_t>(*limit - *usage + cache, 0);
}

// A limit of a folder counts for all below it.
std::int64_t room_up_from(const std::string& root, std::string path, const Version& version) {
  std::int64_t room = room_of(root, version);
  while (path.size() > 1) {
    room = std::min(room, room_of(root + path, version));
    path.erase(path.find_last_of('/'));
  }
  return room;
}

// "4:memory:/a/b" of version 1, "0::/a/b" of version 2.
std::int64_t cgroup_room(const std::string& proc, const std::string& cgroups) {
  std::int64_t room = kUnlimited;
  std::ifstream file(proc + "/self/cgroup");
  std::string line;
  while (std::getline(file, line)) {
    const std::size_t first = line.find(':');
    const std::size_t second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
    const std::string path = line.substr(second + 1);
    if (controllers == ",,") {
      room = std::min(room, room_up_from(cgroups, path, kVersion2));
    } else if (controllers.find(",memory,") != std::string::npos) {
      room = std::min(room, room_up_from(cgroups + "/memory", path, kVersion1));
    }
  }
  return room;
}

}  // namespace

std::optional<ProcessMemory> read_memory(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/smaps_rollup");
  ProcessMemory memory;
  std::string line;
  bool any = false;
  while (std::getline(file, line)) {
    std::istringstream words(line);
    std::string name;
    std::int64_t kilobytes = 0;
    if (!(words >> name >> kilobytes)) continue;
    if (name == "Pss:") memory.share = kilobytes * 1024, any = true;
    if (name == "Private_Clean:" || name == "Private_Dirty:") memory.own += kilobytes * 1024;
  }
  if (!any) return std::nullopt;
  return memory;
}

std::int64_t resident_memory(pid_t pid) {
  // "size resident shared …" in pages.
  std::ifstream file("/proc/" + std::to_string(pid) + "/statm");
  std::int64_t size = 0;
  std::int64_t resident = 0;
  if (!(file >> size >> resident)) return 0;
  static const std::int64_t page = ::sysconf(_SC_PAGESIZE);
  return resident * page;
}

std::int64_t available_memory(const std::string& proc, const std::string& cgroups) {
  std::ifstream file(proc + "/meminfo");
  const auto kilobytes = number_after(file, "MemAvailable:");
  const std::int64_t host = kilobytes ? *kilobytes * 1024 : kUnlimited;
  return std::min(host, cgroup_room(proc, cgroups));
}

}  // namespace appd::runtime
