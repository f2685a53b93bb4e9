// From state to views.
#include "supervisor/reconcile/app_entry.h"

#include <algorithm>

#include "supervisor/model/worker_class.h"
#include "supervisor/runtime/memory.h"

namespace appd::reconcile {
namespace {

using model::AppState;
using model::WorkerState;

const core::Rollout* shown_rollout(const core::AppState& state) {
  if (auto serving = state.serving()) return state.find(*serving);
  if (auto coming = state.coming()) return state.find(*coming);
  return nullptr;
}

// What a rollout serves as; without one, what the app's next one will.
std::string class_of(const AppEntry& app, const core::Rollout* rollout) {
  const model::AppSpec& spec = app.record.spec;
  if (!spec.command.empty()) return "command";
  if (rollout == nullptr) return model::effective_worker_class(spec.worker_class, "", spec.threads);
  return model::effective_worker_class(spec.worker_class, rollout->worker_class,
                                       static_cast<std::int32_t>(rollout->settings.threads));
}

AppState state_of(const AppEntry& app, const core::Desired& want, bool done) {
  if (want.deleting) return AppState::Deleting;
  if (!want.running()) return done ? AppState::Stopped : AppState::Stopping;
  if (app.state.ready() == 0) return app.state.failure ? AppState::Failing : AppState::Starting;
  return done ? AppState::Active : AppState::Updating;
}

std::string limits_note(const AppEntry& app, const runtime::Runtime& runtime) {
  const runtime::CgroupLimits limits = runtime::limits_of(app.record.spec);
  const std::string lacking = runtime.cgroups().lacking(limits);
  return limits.any() && lacking.empty() ? app.limits_error : lacking;
}

}  // namespace

void add_lost(const LogLoss& loss, model::Tally& tally) {
  tally.log_lost_lines += static_cast<std::int64_t>(loss.lines.load(std::memory_order_relaxed));
  tally.log_lost_bytes += static_cast<std::int64_t>(loss.bytes.load(std::memory_order_relaxed));
}

model::AppObserved observe(const AppEntry& app, const core::Desired& want,
                           const runtime::Runtime& runtime) {
  bool done = core::converged(want, app.state);
  model::AppObserved out;
  out.state = state_of(app, want, done);
  out.generation = app.observed_generation;
  out.reconciling = !done;
  out.ready_workers = app.state.ready();
  if (auto serving = app.state.serving()) out.rollout = app.state.find(*serving)->number;
  out.worker_class = class_of(app, shown_rollout(app.state));
  if (const core::Rollout* rollout = shown_rollout(app.state)) {
    out.preloaded = rollout->preloaded;
    out.preload_note = rollout->preload_note;
    out.python_version = rollout->python_version;
  }
  out.limits_note = limits_note(app, runtime);
  out.last_failure = app.state.failure;
  const core::Time now = std::chrono::steady_clock::now();
  out.process_state = core::process_state(want, app.state, now);
  if (auto retry = core::retry_at(want, app.state, now)) {
    out.retry_time = std::chrono::time_point_cast<std::chrono::milliseconds>(
        std::chrono::system_clock::now() + (*retry - now));
  }
  out.unexpected_exits = app.state.unexpected_exits;
  out.drained_exits = app.state.drained_exits;
  out.recycled_workers = app.state.recycled_workers;
  out.last_death = app.last_death;
  out.last_death_reason = app.last_death_reason;
  const runtime::LogPaths logs = runtime.paths().logs(app.record.id);
  out.log_path = logs.app;
  out.access_log_path = logs.access;
  model::Tally tally = app.tally;
  for (const auto& [key, rollout] : app.state.rollouts) {
    if (const LogLoss* loss = runtime.log_loss(key)) add_lost(*loss, tally);
  }
  out.log_lost_lines = tally.log_lost_lines;
  out.log_lost_bytes = tally.log_lost_bytes;
  return out;
}

model::AppView view(const AppEntry& app, const core::Desired& want,
                    const runtime::Runtime& runtime) {
  return {app.record, observe(app, want, runtime)};
}

model::WorkerView worker_view(const AppEntry& app, core::RolloutKey key, core::WorkerId id,
                              const core::Worker& worker, const ScoreboardSlot* figures,
                              bool read_memory) {
  model::WorkerView out;
  out.app = app.record.id;
  out.id = static_cast<std::int32_t>(id);
  out.pid = worker.pid;
  out.state = worker.state;
  out.process_state = core::process_state(worker.state);
  out.recycling = worker.recycling;
  if (read_memory) out.memory = runtime::resident_memory(worker.pid);
  const core::Rollout* rollout = app.state.find(key);
  out.rollout = rollout != nullptr ? rollout->number : 0;
  out.worker_class = app.record.spec.worker_class;
  out.effective_worker_class = class_of(app, rollout);
  out.threads = rollout != nullptr ? static_cast<std::int32_t>(rollout->settings.threads) : 0;
  out.start_time = worker.start_time;
  out.ready_time = worker.ready_time;
  // A slot that still shows its last owner's figures says nothing of this worker.
  if (figures != nullptr && figures->pid.load(std::memory_order_relaxed) == worker.pid) {
    constexpr auto relaxed = std::memory_order_relaxed;
    out.threads = static_cast<std::int32_t>(figures->threads.load(relaxed));
    const Counts counts = own_counts(*figures);
    out.requests = static_cast<std::int64_t>(counts.requests);
    out.errors = static_cast<std::int64_t>(errors(counts));
    out.busy = static_cast<std::int32_t>(figures->busy.load(relaxed));
    out.connections = static_cast<std::int32_t>(figures->connections.load(relaxed));
  }
  return out;
}

model::OperationPhase phase_of(const AppEntry& app, const core::Desired& want) {
  using model::OperationPhase;
  if (!want.running()) return OperationPhase::Draining;
  if (auto coming = app.state.coming()) {
    switch (app.state.find(*coming)->phase) {
      case core::RolloutPhase::Preparing:
        return OperationPhase::Preparing;
      case core::RolloutPhase::Warming:
        return OperationPhase::Warming;
      case core::RolloutPhase::Switching:
      case core::RolloutPhase::Serving:
      case core::RolloutPhase::Retiring:
        return OperationPhase::Switching;
    }
  }
  bool draining =
      std::any_of(app.state.rollouts.begin(), app.state.rollouts.end(), [](const auto& entry) {
        return entry.second.phase == core::RolloutPhase::Retiring || entry.second.draining() > 0;
      });
  return draining ? OperationPhase::Draining : OperationPhase::Applying;
}

namespace {

// Settings are taken over between two turns of a worker: one whose only thread is inside a request
// does so when that has ended.
std::string untuned(const core::AppState& state) {
  auto serving = state.serving();
  if (!serving) return "";
  const core::Rollout& rollout = *state.find(*serving);
  std::string who;
  for (const auto& [id, worker] : rollout.workers) {
    if (worker.state != WorkerState::Ready ||
        worker.settings_revision == rollout.settings.revision) {
      continue;
    }
    who += (who.empty() ? "" : ", ") + std::to_string(id);
  }
  return who.empty() ? "" : "the new settings wait for the requests in hand of worker " + who;
}

}  // namespace

std::string detail_of(const AppEntry& app, const core::Desired& want, core::Time now) {
  if (!want.running()) return "";
  auto coming = app.state.coming();
  if (!coming) return untuned(app.state);
  const core::Rollout& rollout = *app.state.find(*coming);
  if (rollout.baking()) {
    using std::chrono::duration_cast;
    using std::chrono::seconds;
    const auto passed = duration_cast<seconds>(now - rollout.bake->began);
    const auto whole = std::chrono::ceil<seconds>(want.spec.bake);
    return "canary: " + std::to_string(rollout.ready()) + " serving, " +
           std::to_string(passed.count()) + " s of " + std::to_string(whole.count()) + " s, " +
           core::judge(want.spec, rollout.bake->figures, false).text;
  }
  if (rollout.phase == core::RolloutPhase::Switching && app.state.serving() &&
      core::surge_of(want.spec, rollout.surge) < want.spec.workers) {
    return "in steps of " + std::to_string(core::surge_of(want.spec, rollout.surge));
  }
  return "";
}

std::string_view served_class(const core::AppState& state) {
  auto newest = state.coming() ? state.coming() : state.serving();
  return newest ? std::string_view(state.find(*newest)->worker_class) : std::string_view();
}

bool same(const model::AppObserved& a, const model::AppObserved& b) {
  auto failure = [](const model::AppObserved& o) {
    return o.last_failure ? o.last_failure->message + std::to_string(o.last_failure->rollout) : "";
  };
  return a.state == b.state && a.generation == b.generation && a.reconciling == b.reconciling &&
         a.ready_workers == b.ready_workers && a.rollout == b.rollout &&
         a.worker_class == b.worker_class && a.preloaded == b.preloaded &&
         a.preload_note == b.preload_note && a.limits_note == b.limits_note &&
         a.python_version == b.python_version && failure(a) == failure(b) &&
         a.retry_time.has_value() == b.retry_time.has_value() &&
         a.unexpected_exits == b.unexpected_exits && a.process_state == b.process_state &&
         a.last_death == b.last_death;
}

}  // namespace appd::reconcile
