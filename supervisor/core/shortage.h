// Shortage: which failures a want of processes and threads may have brought about, and how that is
// said. Pure.
#pragma once

#include <cstdint>

#include "supervisor/core/transitions.h"
#include "supervisor/model/death.h"

namespace appd::core {

// A fork that was refused for now.
bool is_refused_fork(const RolloutEvent& event);
// That, or code that did not start: perhaps it got no thread.
bool may_lack_pids(const RolloutEvent& event);

// The same event, which also says that limit_pids had refused the app something.
RolloutEvent with_pids_limit(RolloutEvent event, std::int64_t limit);
void note_pids_limit(std::int64_t limit, model::Death& death);

}  // namespace appd::core
