// Counting workers against memory.
#include "supervisor/core/surge.h"

#include <algorithm>

namespace appd::core {

std::int32_t workers_that_fit(const model::AppSpec& spec, const MemoryFigures& memory) {
  if (memory.worker <= 0) return kAnySurge;
  std::int64_t room = memory.available - kMemoryReserve;
  for (const std::int64_t most : {spec.memory_budget, spec.limit_memory}) {
    if (most > 0) room = std::min(room, most - memory.used);
  }
  const std::int64_t fit = std::max<std::int64_t>(room, 0) / memory.worker;
  return static_cast<std::int32_t>(std::min<std::int64_t>(fit, kAnySurge));
}

std::int32_t surge_of(const model::AppSpec& spec, std::int32_t by_memory) {
  const std::int32_t most = spec.max_surge > 0 ? spec.max_surge : kAnySurge;
  return std::max(std::min(most, by_memory), 1);
}

}  // namespace appd::core
