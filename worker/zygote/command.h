// Commands: how the zygote starts programs that are not the app's Python: the workers of a pool of
// commands, and the tasks of run_once.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "common/result.h"

namespace appd::zygote {

struct Command {
  const std::vector<std::string>& argv;
  const std::string& directory;
  int output = -1;  // becomes descriptors 1 and 2; -1: they stay what they are
  bool dies_with_zygote = false;
  std::uint32_t worker = 0;  // told in its environment; 0: it is none
};

// Knows the environment that appd gave the zygote, before an app could change it.
class Launcher {
 public:
  Launcher();
  // In a process group of its own, with default signals and no descriptor but 0 to 2. When this
  // returns the program runs; an Error has the errno of fork(2), chdir(2) or execve(2).
  Result<pid_t> start(const Command& command) const;

 private:
  std::vector<std::string> environment_;
};

// "celery exited with status 1 120 ms after its start, within startsecs (1000 ms)"
std::string describe_early_end(const std::string& program, int wait_status,
                               std::chrono::nanoseconds after, std::uint32_t startsecs_ms);

// Control characters but newline and tab become question marks.
std::string harmless(std::string text);

}  // namespace appd::zygote
