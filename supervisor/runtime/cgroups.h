// Cgroups: control groups of version 2 (cgroups(7)), in which the kernel holds all processes of an
// app together to its limits.
//
//   BASE           what the host has left to appd; no process is in it
//     supervisor   appd
//     app-web      every process of web: zygotes, workers, and what these start
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "common/result.h"
#include "supervisor/model/app_spec.h"

namespace appd::runtime {

// 0: none.
struct CgroupLimits {
  std::int64_t memory = 0;       // bytes, memory.max
  std::int64_t memory_high = 0;  // bytes, memory.high
  double cpu = 0;                // CPUs, cpu.max
  std::int64_t pids = 0;         // processes and threads, pids.max

  bool any() const { return memory > 0 || memory_high > 0 || cpu > 0 || pids > 0; }
  bool operator==(const CgroupLimits&) const = default;
};
CgroupLimits limits_of(const model::AppSpec& spec);

// Core thread only.
class Cgroups {
 public:
  // Makes the cgroup that this process is in ready for apps, and moves it aside. What stands in the
  // way is told by lacking(). The folder is another for tests only.
  static Cgroups of_this_process(const std::string& proc = "/proc");
  // The same below a cgroup that this process need not be in.
  static Cgroups below(const std::string& base);

  // The folder of the groups; empty: there can be none.
  const std::string& base() const { return base_; }
  // Why.
  const std::string& missing() const { return missing_; }
  // Why the kernel will not hold an app to these limits; empty: it will.
  std::string lacking(const CgroupLimits& limits) const;
  // Makes the app's group, if it is not there, with these limits. Nothing where there can be none.
  Result<void> set(const std::string& app, const CgroupLimits& limits) const;
  // The same, and an Error where the kernel will not hold the app to them.
  Result<void> require(const std::string& app, const CgroupLimits& limits) const;
  // The file that a process joins the app's group by; empty: there is none.
  std::string join_file(const std::string& app) const;
  // How many times the app had no memory left within its limit; nothing if that is not known.
  std::optional<std::int64_t> out_of_memory(const std::string& app) const;
  // How many times the app got no process or thread because of its limit; nothing if that is not
  // known.
  std::optional<std::int64_t> refused_pids(const std::string& app) const;
  // Only groups without processes can be removed; others stay.
  void remove(const std::string& app) const;
  void remove_others(const std::set<std::string>& apps) const;

 private:
  std::string group(const std::string& app) const { return base_ + "/app-" + app; }
  void take(std::string base, bool move_aside);
  Result<void> check(bool move_aside) const;
  Result<void> step_aside() const;
  Result<void> hand_down() const;
  std::optional<std::int64_t> counted(const std::string& app, const char* file,
                                      std::string_view event) const;

  std::string base_;     // empty: there is none
  std::string missing_;  // why
  bool memory_ = false;  // the controllers that there are
  bool cpu_ = false;
  bool pids_ = false;
};

}  // namespace appd::runtime
