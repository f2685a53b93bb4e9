// Autopsy: why a worker ended, from what its zygote says and what its slot still shows. Pure.
#pragma once

#include <optional>
#include <string>

#include "supervisor/core/state.h"
#include "supervisor/model/cut.h"
#include "supervisor/model/death.h"

namespace appd::core {

// "exited with status 3", "was killed by signal 9 (SIGKILL)" from waitpid(2)'s status.
std::string describe_exit(int wait_status);

// What the zygote's report tells. `worker` is nullptr for one that ended while no appd knew it.
model::Death certify(const message::Exited& exited, const Worker* worker, const Rollout& rollout);
// Of one whose zygote was gone too.
model::Death certify_orphan(WorkerId id, const Worker& worker, const Rollout& rollout,
                            model::WallTime now);
// Of one that was ended for want of memory: the app had no more within limit_memory.
void note_memory_limit(std::int64_t limit, model::Death& death);
// Adds what the slot shows. A worker that was asked to go and left requests behind did not go well.
void note_figures(model::LastFigures figures, model::Death& death);
// What the end of a worker that was asked to go has cut off; nothing if it went well.
std::optional<model::CutWorker> cut_by(const model::Death& death);

}  // namespace appd::core
