// When a log file is rotated, and when to look at it again. PURE.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include "supervisor/core/state.h"

namespace appd::core {

struct LogPolicy {
  std::int64_t max_size = 0;  // bytes; 0: any
  model::Milliseconds max_age{0};
  std::int32_t keep = 0;  // rotated files that stay

  bool operator==(const LogPolicy&) const = default;
};

// One log file as it was found.
struct LogLook {
  std::int64_t size = 0;
  model::WallTime begun;  // when its first line was written, about
  // The look before this one, at the same file.
  std::optional<std::int64_t> size_before;
  std::chrono::milliseconds since_before{0};
};

struct LogDecision {
  bool rotate = false;
  // It grows: look again after this long. Otherwise somebody must tell when it does.
  std::optional<std::chrono::milliseconds> look_again;
};

// The faster a file fills, the sooner it is looked at again; one that stands still costs nothing
// but, with max_age, one look when it is old.
LogDecision decide(const LogPolicy& policy, const LogLook& look, model::WallTime now);

}  // namespace appd::core
