// Memory: what processes take, and what is left of it.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>

namespace appd::runtime {

// Bytes, of /proc/PID/smaps_rollup (proc(5)).
struct ProcessMemory {
  std::int64_t share = 0;  // what is shared is divided among those that share it (PSS)
  std::int64_t own = 0;    // nobody else has it
};
// Nothing if the process has gone or is somebody else's.
std::optional<ProcessMemory> read_memory(pid_t pid);
// Bytes of resident memory, shared or not, as ps(1) shows them as RSS; 0 if it is not there.
std::int64_t resident_memory(pid_t pid);

// What can be had without swapping: of the host, or of the cgroups that we are in (version 1 or 2),
// whichever is less. The folders are others for tests only.
std::int64_t available_memory(const std::string& proc = "/proc",
                              const std::string& cgroups = "/sys/fs/cgroup");

}  // namespace appd::runtime
