// The world of one app as the core sees it: desired values on one side, rollouts and their
// processes on the other. Values only; time is passed in, nothing here touches the system.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/messages.h"
#include "supervisor/core/canary.h"
#include "supervisor/core/restart_policy.h"
#include "supervisor/core/surge.h"
#include "supervisor/model/observed.h"

namespace appd::core {

using Time = std::chrono::steady_clock::time_point;

// A rollout in this life of appd. Rollout numbers are the user's; a number may be tried twice.
using RolloutKey = std::uint64_t;
using WorkerId = std::uint32_t;

// What is wanted of one app, derived from its stored record.
struct Desired {
  model::AppSpec spec;
  std::int64_t generation = 0;
  std::int64_t rollout = 0;
  bool deleting = false;
  bool ran_once = false;  // the run_once tasks of this rollout are done

  bool running() const { return !deleting && spec.run_mode == model::RunMode::Running; }
};

struct Worker {
  std::int32_t pid = 0;  // 0: asked for, not yet forked
  model::WorkerState state = model::WorkerState::Starting;
  std::int64_t settings_revision = 0;  // confirmed by the worker
  Time asked;                          // when it was asked for
  std::optional<Time> ready;
  bool killed = false;         // for hanging in its import
  std::string boot_error;      // what it has said of why it will end
  bool recycle_asked = false;  // somebody wants it replaced
  std::string recycling;       // why it is being replaced: it leaves once its replacement is ready
  // As they were looked at last, while a limit needs them.
  std::int64_t requests = 0;
  std::int64_t memory = 0;
  model::WallTime start_time;
  std::optional<model::WallTime> ready_time;
};

// Preparing → Warming → Switching → Serving → Retiring; Retiring is also where failure leads.
enum class RolloutPhase {
  Preparing,  // the zygote starts and imports
  Warming,    // one worker comes up, or the canary, which serves for a while
  Switching,  // the others come up, the old rollout still serves
  Serving,
  Retiring,  // on its way out: told to drain all and exit, unless others lack its capacity
};

struct Rollout {
  std::int64_t number = 0;
  model::AppSpec spec;  // what it was loaded from
  RolloutPhase phase = RolloutPhase::Preparing;
  Time phase_began;
  std::vector<std::string> run_once;  // what its zygote runs before the first worker
  std::string task;                   // the one that runs now
  std::map<WorkerId, Worker> workers;
  message::Settings settings;  // what its workers were told last
  bool connected = false;      // its zygote has said Hello and listens to us
  bool zygote_gone = false;    // its workers, if any, are orphans
  std::uint32_t untold = 0;    // workers of an adopted one that its zygote is about to tell of
  bool told_to_go = false;     // retiring: its workers drain
  bool killed = false;
  // How many workers more than wanted there may be while it replaces another, as far as memory
  // goes.
  std::int32_t surge = kAnySurge;
  std::int32_t measured_at = -1;  // how many were ready when memory was looked at last
  // How its canary did beside the old rollout.
  struct Bake {
    Time began;
    BakeFigures figures;
  };
  std::optional<Bake> bake;
  bool preloaded = false;
  std::string preload_note;
  std::string python_version;
  std::string worker_class;  // the class that serves, as the workers' side says; empty: not known
  RestartPolicy restarts;    // pace of replacing workers that died

  std::int32_t ready() const;
  std::int32_t draining() const;
  bool baking() const { return phase == RolloutPhase::Warming && bake.has_value(); }
  // Those that still serve until their replacements do.
  std::int32_t recycling() const;
  std::int32_t staying() const { return static_cast<std::int32_t>(workers.size()) - draining(); }
};

struct AppState {
  std::map<RolloutKey, Rollout> rollouts;
  bool listening = false;
  // The rollout number that failed last and is not tried again while another one serves.
  std::optional<model::Failure> failure;
  std::int64_t failed_rollout = 0;
  RestartPolicy starts;  // pace of trying again while nothing serves
  std::int64_t unexpected_exits = 0;
  std::int64_t recycled_workers = 0;
  std::int64_t drained_exits = 0;  // told to go, and gone with nothing left undone

  Rollout* find(RolloutKey key);
  const Rollout* find(RolloutKey key) const;
  // The one that serves, and the one that is to replace it; at most one each.
  std::optional<RolloutKey> serving() const;
  std::optional<RolloutKey> coming() const;
  std::int32_t ready() const;
  // Processes of all rollouts, those that are asked for and those that drain included.
  std::int32_t workers() const;
  // The smallest id that no living worker of any rollout has and that is not in `given`.
  WorkerId free_worker_id(const std::set<WorkerId>& given) const;
};

// When what is missing is started again; empty: nothing waits for a pause to end.
std::optional<Time> retry_at(const Desired& want, const AppState& have, Time now);

// The app as supervisord would show it, and a worker.
model::ProcessState process_state(const Desired& want, const AppState& have, Time now);
model::ProcessState process_state(model::WorkerState state);

// What the rollout's workers are to be told now. While the pool goes from a class with threads to
// one without, or back, those that still serve keep their own number.
message::Settings settings_for(const Desired& want, const Rollout& rollout);

// How long its workers may take to go, by what they were told last; 0: as long as they like.
model::Milliseconds graceful_timeout_of(const Rollout& rollout);
// What tells a worker whose zygote is gone to go; of apps always SIGTERM.
int stop_signal_of(const Rollout& rollout);

// Whether the rollout's workers were told something else than that.
bool out_of_tune(const Desired& want, const Rollout& rollout);

// Whether everything is as asked: nothing to do and nothing on its way.
bool converged(const Desired& want, const AppState& have);

}  // namespace appd::core
