// AppEntry: all that the core thread holds of one app, and how it looks from outside.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "supervisor/core/planner.h"
#include "supervisor/model/measurement.h"
#include "supervisor/reconcile/gauge.h"
#include "supervisor/runtime/log_keeper.h"
#include "supervisor/runtime/runtime.h"

namespace appd::reconcile {

// Core thread only.
struct AppEntry {
  model::AppRecord record;
  core::AppState state;
  runtime::ListenerSet listeners;
  // While a change of bind has not proved itself: the sockets that the serving rollout listens on.
  std::optional<runtime::ListenerSet> former_listeners;
  std::optional<core::Time> deadline;           // of the last plan
  std::optional<BakeGauge> gauge;               // while a canary is compared
  std::optional<model::AppObserved> published;  // what watchers saw last
  std::int64_t observed_generation = 0;
  std::int64_t last_death = 0;  // number of the newest certificate
  std::string last_death_reason;
  std::optional<runtime::KeptLogs> kept_logs;   // what the keeper was told last
  std::optional<runtime::CgroupLimits> limits;  // what its cgroup was given last
  std::string limits_error;                     // why it was not
  std::int64_t out_of_memory = 0;               // what its cgroup has counted of that
  std::int64_t refused_pids = 0;                // and of processes and threads that it did not get
  model::Tally tally;
  core::Time sampled;  // when the figures of its workers were looked at last

  core::Desired desired() const {
    return {record.spec, record.generation, record.rollout, record.deleting,
            record.run_once_rollout == record.rollout};
  }
};

// Pure but for reading the scoreboard.
model::AppObserved observe(const AppEntry& app, const core::Desired& want,
                           const runtime::Runtime& runtime);
model::AppView view(const AppEntry& app, const core::Desired& want,
                    const runtime::Runtime& runtime);
// `read_memory`: what takes a file of /proc is looked at too.
model::WorkerView worker_view(const AppEntry& app, core::RolloutKey key, core::WorkerId id,
                              const core::Worker& worker, const ScoreboardSlot* figures,
                              bool read_memory = true);
// What the processes of a rollout could not write to its logs.
void add_lost(const LogLoss& loss, model::Tally& tally);

// What the slot shows of a worker that has ended; empty if it is somebody else's by now.
model::LastFigures last_figures(const ScoreboardSlot* slot, std::int32_t pid,
                                std::chrono::steady_clock::time_point end);

// Where a change of this app stands, for the progress of its operations.
model::OperationPhase phase_of(const AppEntry& app, const core::Desired& want);

// What goes on in a rollout, beyond its phase; may be empty.
std::string detail_of(const AppEntry& app, const core::Desired& want, core::Time now);

// The class that the newest rollout's workers have; empty: not known yet. Valid while the state is.
std::string_view served_class(const core::AppState& state);

bool same(const model::AppObserved& a, const model::AppObserved& b);

}  // namespace appd::reconcile
