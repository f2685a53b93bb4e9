// PidRef: a process, by more than its number.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "common/result.h"
#include "common/unique_fd.h"

namespace appd::runtime {

// What /proc/PID/stat tells of a process (proc(5)).
struct ProcessStat {
  std::string name;  // at most 15 bytes, the process's own choice
  bool zombie = false;
  bool stopped = false;
  pid_t parent = 0;
  pid_t session = 0;
  std::uint64_t start_time = 0;              // clock ticks since boot
  std::chrono::nanoseconds cpu{0};           // time that it has run
  std::chrono::nanoseconds children_cpu{0};  // that those had run that it has waited for
};
std::optional<ProcessStat> read_stat(pid_t pid);

// What is another one after each start of the host.
std::string boot_id();

// Owns a pidfd (pidfd_open(2)); signals through it never reach a stranger that got the number
// later. Readable when the process has ended.
class PidRef {
 public:
  PidRef() = default;
  // A child of `parent`: a process that somebody else claims is refused.
  static Result<PidRef> open_child(pid_t pid, pid_t parent);
  // The process that had this start time.
  static Result<PidRef> open(pid_t pid, std::uint64_t start_time);
  // A child of ours that has not been waited for.
  static Result<PidRef> open_own_child(pid_t pid);

  void signal(int number) const;
  // To it and, if it leads a process group (commands do), to all of the group.
  void signal_group(int number) const;
  // A duplicate of one of its descriptors (pidfd_getfd(2)): needs the right to trace it.
  Result<UniqueFd> take_descriptor(int number) const;
  // The status of an ended child of ours, as from waitpid(2), which ends its zombie; empty if it is
  // no child of ours or still runs.
  std::optional<int> reap() const;
  int fd() const { return pidfd_.get(); }
  pid_t pid() const { return pid_; }
  bool valid() const { return pidfd_.valid(); }

 private:
  PidRef(pid_t pid, UniqueFd pidfd) : pid_(pid), pidfd_(std::move(pidfd)) {}
  pid_t pid_ = 0;
  UniqueFd pidfd_;
};

}  // namespace appd::runtime
