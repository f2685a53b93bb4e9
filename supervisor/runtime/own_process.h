// What appd's own process takes.
#pragma once

#include <chrono>
#include <cstdint>

namespace appd::runtime {

struct OwnProcess {
  std::chrono::nanoseconds cpu{0};
  std::int64_t resident = 0;  // bytes
  std::int64_t virtual_size = 0;
  std::int64_t open_files = 0;
  std::int64_t most_files = 0;
  std::int64_t threads = 0;
};
OwnProcess read_own_process();

}  // namespace appd::runtime
