// From /proc/self (proc(5)).
#include "supervisor/runtime/own_process.h"

#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "supervisor/runtime/memory.h"
#include "supervisor/runtime/pid_ref.h"

namespace appd::runtime {
namespace {

std::int64_t entries_of(const char* folder) {
  std::error_code failed;
  return std::distance(std::filesystem::directory_iterator(folder, failed), {});
}

}  // namespace

OwnProcess read_own_process() {
  OwnProcess own;
  if (auto stat = read_stat(::getpid())) own.cpu = stat->cpu;
  own.resident = resident_memory(::getpid());
  std::int64_t pages = 0;
  if (std::ifstream("/proc/self/statm") >> pages)
    own.virtual_size = pages * ::sysconf(_SC_PAGESIZE);
  own.open_files = entries_of("/proc/self/fd") - 1;  // the one that this is read by
  own.threads = entries_of("/proc/self/task");
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    own.most_files = static_cast<std::int64_t>(limit.rlim_cur);
  }
  return own;
}

}  // namespace appd::runtime
