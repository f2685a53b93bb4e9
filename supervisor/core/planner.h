// The planner: from what is wanted and what is there to what to do next. PURE: no clock, no
// syscalls, no memory of its own. After a crash the same function does what is missing.
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "supervisor/core/state.h"

namespace appd::core {

struct OpenListeners {};
struct CloseListeners {};
// A new zygote for the wanted rollout. `number` and spec are the desired ones.
struct StartRollout {};
struct ForkWorker {
  RolloutKey rollout;
  WorkerId worker;
};
struct DrainWorker {
  RolloutKey rollout;
  WorkerId worker;
};
struct KillWorker {
  RolloutKey rollout;
  WorkerId worker;
};
// The worker is due: it is to leave once there is one more that is ready.
struct RecycleWorker {
  RolloutKey rollout;
  WorkerId worker;
  std::string reason;
};
// The running workers of a rollout take over the desired settings.
struct TuneRollout {
  RolloutKey rollout;
};
// The next phase: Warming, Switching, Serving.
struct Advance {
  RolloutKey rollout;
  RolloutPhase phase;
};
// The canary is up: from now on it is compared with what serves.
struct BeginBake {
  RolloutKey rollout;
};
// It is not wanted any more, but what it carries of the capacity is, until others do.
struct AbandonRollout {
  RolloutKey rollout;
};
// Drain all its workers; the zygote exits after the last.
struct RetireRollout {
  RolloutKey rollout;
};
// SIGKILL to the zygote and all its workers.
struct KillRollout {
  RolloutKey rollout;
};
struct FailRollout {
  RolloutKey rollout;
  model::FailureCause cause;
  std::string message;
};

using Action = std::variant<OpenListeners, CloseListeners, StartRollout, ForkWorker, DrainWorker,
                            KillWorker, RecycleWorker, TuneRollout, Advance, BeginBake,
                            AbandonRollout, RetireRollout, KillRollout, FailRollout>;

struct Plan {
  std::vector<Action> actions;
  // When to ask again although nothing happened; empty: only when something does.
  std::optional<Time> deadline;
};

// How much longer than graceful_timeout a retiring rollout may take before it is killed.
inline constexpr std::chrono::seconds kRetireMargin{5};
// The same of a task of run_once and run_once_timeout.
inline constexpr std::chrono::seconds kTaskMargin{15};

// What becomes of a rollout that has not taken over and is not wanted any more: a task that it runs
// is given the time to end well, and what has no workers yet has nothing to drain.
Action dismissal(RolloutKey key, const Rollout& rollout);

// The actions of one plan are independent of each other's outcome and done in order. The caller
// marks each as begun (transitions.h) before it plans again.
Plan plan(const Desired& want, const AppState& have, Time now);

}  // namespace appd::core
