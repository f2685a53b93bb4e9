// OomRecord: what the kernel says of processes that it has killed for want of memory.
//
// A SIGKILL does not tell who sent it. The counter of our cgroup does (memory.events of cgroup v2,
// memory.oom_control of v1), and so does the kernel's log where we may read it.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace appd::net {

// The figure behind "oom_kill " in a file of "name number" lines.
std::optional<std::uint64_t> oom_kills_in(std::string_view file);
// Where the counters of a process may be, by its /proc/PID/cgroup; likelier ones first.
std::vector<std::string> oom_counter_paths(std::string_view cgroups);
// Whether a record of /dev/kmsg says that this process was killed, not before `since_us`.
bool kernel_log_tells_of(std::string_view record, pid_t pid, std::uint64_t since_us);

// The zygote's only thread.
class OomRecord {
 public:
  // Notes where the counters stand. To be called before each fork: we may be in another cgroup now.
  void note();
  // Of a child that was killed by SIGKILL, not by us, after note(): what says that it was the OOM
  // killer; empty when nothing does.
  std::string verdict(pid_t pid);

 private:
  std::map<std::string, std::uint64_t> kills_;  // by counter
};

}  // namespace appd::net
