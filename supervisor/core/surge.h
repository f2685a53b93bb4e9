// Surge: how many workers more than wanted there may be while one rollout replaces another. Pure.
#pragma once

#include <cstdint>
#include <limits>

#include "supervisor/model/app_spec.h"

namespace appd::core {

// Bytes, as the host and the app's processes say.
struct MemoryFigures {
  std::int64_t available = 0;  // to this host, or to the cgroup that appd is in
  std::int64_t used = 0;       // by all processes of the app
  std::int64_t worker = 0;     // what one more worker will take; 0: not known
};

inline constexpr std::int32_t kAnySurge = std::numeric_limits<std::int32_t>::max();
// Left to the host when workers are counted against its memory.
inline constexpr std::int64_t kMemoryReserve = std::int64_t{64} << 20;

// How many more workers fit into memory_budget, limit_memory and what is available.
std::int32_t workers_that_fit(const model::AppSpec& spec, const MemoryFigures& memory);

// The smaller one of max_surge and what memory allows, but never less than one.
std::int32_t surge_of(const model::AppSpec& spec, std::int32_t by_memory);

}  // namespace appd::core
