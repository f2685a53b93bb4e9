// Adoption: what the rollouts that an earlier appd left are to the next one. Pure.
#pragma once

#include "supervisor/core/state.h"

namespace appd::core {

// What a zygote was told last of how far its rollout has come, and back again.
message::Stage stage_of(const Rollout& rollout, Time now);
void take_up(const message::Stage& stage, Rollout& rollout, Time now);

// Decides in which phase each rollout goes on, once all that were found are in `app` with the phase
// that their zygote knows of; of what has no zygote the store alone tells. What is wanted, or has
// served last, goes on from where it was: what has proved itself is not proved again. At most one
// serves and one comes; of all else the end had been decided.
void sort_out_adopted(const model::AppRecord& record, AppState& app);

}  // namespace appd::core
