// Files of the cgroup file system, and the rules of who may make groups where.
#include "supervisor/runtime/cgroups.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>

#include "common/unique_fd.h"

namespace appd::runtime {
namespace {

namespace fs = std::filesystem;

constexpr const char* kSupervisor = "supervisor";
constexpr std::string_view kAppPrefix = "app-";
constexpr std::int64_t kCpuPeriod = 100'000;  // microseconds, the kernel's default

Error unusable(std::string why) {
  return {ErrorCode::FailedPrecondition, "CGROUPS_UNUSABLE", std::move(why), 0};
}

// The kernel takes each value in one write(2), and says with it what is wrong.
Result<void> write_value(const std::string& path, const std::string& value) {
  const UniqueFd file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!file) return sys_error("CGROUP_WRITE", path, errno);
  const ssize_t count = ::write(file.get(), value.data(), value.size());
  if (count < 0) return sys_error("CGROUP_WRITE", "write " + value + " to " + path, errno);
  return {};
}

bool has_word(const std::string& path, std::string_view word) {
  std::ifstream file(path);
  return std::find(std::istream_iterator<std::string>(file), {}, word) !=
         std::istream_iterator<std::string>();
}

struct Mount {
  std::string root;   // of what is mounted
  std::string point;  // where
};

// "30 23 0:26 / /sys/fs/cgroup rw,relatime shared:4 - cgroup2 cgroup2 rw", proc(5).
std::optional<Mount> find_mount(const std::string& proc) {
  std::ifstream file(proc + "/self/mountinfo");
  for (std::string line; std::getline(file, line);) {
    const std::size_t dash = line.find(" - ");
    if (dash == std::string::npos || line.compare(dash, 11, " - cgroup2 ") != 0) continue;
    std::istringstream words(line);
    std::string skipped;
    Mount mount;
    if (words >> skipped >> skipped >> skipped >> mount.root >> mount.point) return mount;
  }
  return std::nullopt;
}

// Of "0::/system.slice/appd.service": the path.
std::optional<std::string> own_path(const std::string& proc) {
  constexpr std::string_view kVersion2 = "0::";
  std::ifstream file(proc + "/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with(kVersion2)) return line.substr(kVersion2.size());
  }
  return std::nullopt;
}

bool of_systemd(std::string_view path) {
  return path.ends_with(".service") || path.ends_with(".scope") || path.ends_with(".slice");
}

std::string number_text(std::int64_t most) { return most > 0 ? std::to_string(most) : "max"; }

std::string cpu_text(double cpus) {
  const std::string period = " " + std::to_string(kCpuPeriod);
  if (cpus <= 0) return "max" + period;
  return std::to_string(std::llround(cpus * static_cast<double>(kCpuPeriod))) + period;
}

}  // namespace

CgroupLimits limits_of(const model::AppSpec& spec) {
  return {spec.limit_memory, spec.limit_memory_high, spec.limit_cpu, spec.limit_pids};
}

Cgroups Cgroups::of_this_process(const std::string& proc) {
  Cgroups cgroups;
  const auto mount = find_mount(proc);
  auto path = own_path(proc);
  if (!mount || !path) {
    cgroups.missing_ = "this host has no cgroups of version 2 (cgroups(7))";
    return cgroups;
  }
  // In a container without a cgroup namespace the host's path is told, and only its end is mounted.
  if (mount->root != "/" && path->starts_with(mount->root)) path->erase(0, mount->root.size());
  if (path->ends_with('/')) path->pop_back();
  const fs::path own(mount->point + *path);
  const bool aside = own.filename() == kSupervisor;
  cgroups.take(aside ? own.parent_path() : own, !aside);
  return cgroups;
}

Cgroups Cgroups::below(const std::string& base) {
  Cgroups cgroups;
  cgroups.take(base, false);
  return cgroups;
}

void Cgroups::take(std::string base, bool move_aside) {
  base_ = std::move(base);
  memory_ = has_word(base_ + "/cgroup.controllers", "memory");
  cpu_ = has_word(base_ + "/cgroup.controllers", "cpu");
  pids_ = has_word(base_ + "/cgroup.controllers", "pids");
  Result<void> ready = check(move_aside);
  if (ready && move_aside) ready = step_aside();
  if (ready) ready = hand_down();
  if (ready) return;
  base_.clear();
  missing_ = std::move(ready).error().message;
}

Result<void> Cgroups::check(bool move_aside) const {
  if (!memory_ && !cpu_ && !pids_) {
    return unusable("the cgroup " + base_ +
                    " has no controller of memory, cpu or pids: boot the host with cgroups of "
                    "version 2 only (systemd.unified_cgroup_hierarchy=1)");
  }
  // systemd puts what it starts into the unit's own group, where a process must not be beside
  // groups with limits: it could not start appd again while apps run.
  if (move_aside && of_systemd(base_)) {
    return unusable("the cgroup " + base_ +
                    " is not appd's to divide: systemd (254 or later) leaves it to appd with "
                    "Delegate=yes and DelegateSubgroup=supervisor in appd's own unit");
  }
  if (::access((base_ + "/cgroup.subtree_control").c_str(), W_OK) != 0) {
    const int error = errno;
    return unusable("the cgroup " + base_ + " may not be written by appd (" + std::strerror(error) +
                    "): give it to appd's user");
  }
  std::ifstream inside(base_ + "/cgroup.procs");
  for (std::int64_t pid = 0; inside >> pid;) {
    if (pid == ::getpid() && move_aside) continue;
    return unusable("the cgroup " + base_ + " has processes in it, like pid " +
                    std::to_string(pid) +
                    ": it must be for appd alone; apps that were started outside of groups of "
                    "their own must be stopped before appd is started again");
  }
  return {};
}

Result<void> Cgroups::step_aside() const {
  const std::string supervisor = base_ + "/" + kSupervisor;
  if (::mkdir(supervisor.c_str(), 0755) != 0 && errno != EEXIST) {
    return sys_error("CGROUP_WRITE", "make " + supervisor, errno);
  }
  return write_value(supervisor + "/cgroup.procs", "0");  // 0: who writes
}

Result<void> Cgroups::hand_down() const {
  std::string wanted;
  if (memory_) wanted += "+memory";
  if (cpu_) wanted += wanted.empty() ? "+cpu" : " +cpu";
  if (pids_) wanted += wanted.empty() ? "+pids" : " +pids";
  return write_value(base_ + "/cgroup.subtree_control", wanted);
}

std::string Cgroups::lacking(const CgroupLimits& limits) const {
  if (!limits.any()) return "";
  if (base_.empty()) return missing_;
  const bool memory = limits.memory > 0 || limits.memory_high > 0;
  if (memory && !memory_) return "there is no memory controller in " + base_;
  if (limits.cpu > 0 && !cpu_) return "there is no cpu controller in " + base_;
  if (limits.pids > 0 && !pids_) return "there is no pids controller in " + base_;
  return "";
}

Result<void> Cgroups::set(const std::string& app, const CgroupLimits& limits) const {
  if (base_.empty()) return {};
  const std::string path = group(app);
  if (::mkdir(path.c_str(), 0755) != 0 && errno != EEXIST) {
    return sys_error("CGROUP_WRITE", "make " + path, errno);
  }
  if (memory_) {
    TRY(write_value(path + "/memory.high", number_text(limits.memory_high)));
    TRY(write_value(path + "/memory.max", number_text(limits.memory)));
  }
  if (cpu_) TRY(write_value(path + "/cpu.max", cpu_text(limits.cpu)));
  if (pids_) TRY(write_value(path + "/pids.max", number_text(limits.pids)));
  return {};
}

Result<void> Cgroups::require(const std::string& app, const CgroupLimits& limits) const {
  const std::string why = lacking(limits);
  if (!why.empty()) return unusable("require_limits: the app's limits cannot be kept: " + why);
  return set(app, limits);
}

std::string Cgroups::join_file(const std::string& app) const {
  return base_.empty() ? "" : group(app) + "/cgroup.procs";
}

std::optional<std::int64_t> Cgroups::out_of_memory(const std::string& app) const {
  return counted(app, "memory.events", "oom");
}

std::optional<std::int64_t> Cgroups::refused_pids(const std::string& app) const {
  return counted(app, "pids.events", "max");
}

std::optional<std::int64_t> Cgroups::counted(const std::string& app, const char* file,
                                             std::string_view event) const {
  if (base_.empty()) return std::nullopt;
  std::ifstream events(group(app) + "/" + file);
  std::string name;
  for (std::int64_t count = 0; events >> name >> count;) {
    if (name == event) return count;
  }
  return std::nullopt;
}

void Cgroups::remove(const std::string& app) const {
  if (!base_.empty()) ::rmdir(group(app).c_str());
}

void Cgroups::remove_others(const std::set<std::string>& apps) const {
  if (base_.empty()) return;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(base_, ignored)) {
    const std::string name = entry.path().filename();
    if (!name.starts_with(kAppPrefix)) continue;
    if (!apps.contains(name.substr(kAppPrefix.size()))) ::rmdir(entry.path().c_str());
  }
}

}  // namespace appd::runtime
