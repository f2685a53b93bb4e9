// Zygote: the parent of one rollout's workers. Loads the app once, forks, reaps, reports.
//
// One thread, and small on purpose: it outlives appd, and whatever happens to it happens to all
// that it will ever fork.
#pragma once

#include <optional>

#include "common/unique_fd.h"
#include "worker/gateway/hooks.h"
#include "worker/zygote/worker.h"

namespace appd::zygote {

// Serves appd until it is told to quit; nothing then. In each forked worker it returns what the
// worker is to run. `control` is the listening socket; `resume` is where a zygote that began again
// finds what it had, or is not valid. Under the interpreter's lock.
std::optional<WorkerSetup> run_zygote(const gateway::Hooks& hooks, UniqueFd control,
                                      UniqueFd resume);

}  // namespace appd::zygote
