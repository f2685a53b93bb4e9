// Whether a change can still be taken back by whoever began it. PURE.
#pragma once

#include "common/result.h"
#include "supervisor/core/state.h"

namespace appd::core {

// Of an operation that has not ended: only one whose rollout is being proved, or not yet there,
// while another one serves. What has begun to take over, or takes effect from its first moment on,
// is not; Error NOT_CANCELLABLE says what to do instead.
Result<void> check_cancellable(const model::Operation& operation, const AppState& app);

}  // namespace appd::core
