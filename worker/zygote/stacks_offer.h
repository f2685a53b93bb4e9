// The worker's end of its stacks (stacks.h).
#pragma once

#include "worker/gateway/hooks.h"

namespace appd::zygote {

// In a worker, under the interpreter's lock: from now on it answers requests into `memory`, which
// must stay open.
void offer_stacks(int memory, const gateway::Hooks& hooks);

}  // namespace appd::zygote
