// Loading: the code of a rollout comes into the zygote; or into the same process that has begun
// again, when it may not be forked with it.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "worker/gateway/hooks.h"
#include "worker/zygote/appd_link.h"
#include "worker/zygote/rollout.h"

namespace appd::zygote {

// It is loaded, but a fork would not be a faithful copy of it.
struct Unforkable {
  std::string why;
};
using LoadingEnd = std::variant<message::Loaded, message::LoadFailed, Unforkable>;

// Does what rollout.load asks for: splits the command, leaves the import to the workers, or imports
// and warms up the app, which is `app` then. What a fork may have open beside the rollout's own is
// `own_descriptors`. Under the interpreter's lock.
LoadingEnd load_code(Rollout& rollout, gateway::PyRef& app, const gateway::Hooks& hooks,
                     const std::vector<int>& own_descriptors);

// Starts the interpreter anew, without preload and without anything of the app, in this process, so
// that appd sees no change of pid. What there is goes through a socket to ourselves. Returns only
// when that cannot be done.
void begin_again(const Rollout& rollout, const AppdLink& link, const gateway::Hooks& hooks,
                 const std::string& why);
// In the process that has begun again: takes everything over from the socket, and says why it did.
std::string resume(UniqueFd from, Rollout& rollout, AppdLink& link);

}  // namespace appd::zygote
