// What a rollout is decided by: how its canary does, and what memory there is.
#include <spdlog/fmt/fmt.h>

#include <algorithm>

#include "supervisor/core/adoption.h"
#include "supervisor/reconcile/reconciler.h"

namespace appd::reconcile {

// What the canary and the old rollout have answered meanwhile becomes part of the state.
void Reconciler::read_gauge(AppEntry& app) {
  auto coming = app.state.coming();
  auto old = app.state.serving();
  if (!app.gauge || !coming || !old || !app.state.find(*coming)->baking()) return;
  app.state.find(*coming)->bake->figures = app.gauge->read(app.state, *coming, *old, runtime_);
}

// For the appd after this one.
void Reconciler::tell_stage(const AppEntry& app, core::RolloutKey key) {
  const core::Rollout& rollout = *app.state.find(key);
  runtime_.tell_stage(key, core::stage_of(rollout, std::chrono::steady_clock::now()));
}

void Reconciler::note_bake(const AppEntry& app, const core::Rollout& rollout) {
  core::CanaryJudgement judgement = core::judge(app.record.spec, rollout.bake->figures, true);
  bool known = judgement.verdict != core::CanaryVerdict::Unknown;
  note(app.record.id,
       fmt::format("the canary of rollout {} {}: {}", rollout.number,
                   known ? "did well" : "had too few requests to be compared", judgement.text));
}

// While a canary bakes it is to get its share of the clients: all workers of the app take turns.
void Reconciler::spread_clients(const AppEntry& app) {
  auto coming = app.state.coming();
  bool wanted = coming && app.state.find(*coming)->baking();
  for (const auto& [key, rollout] : app.state.rollouts) runtime_.take_turns(key, wanted);
}

void Reconciler::on_switching(AppEntry& app, core::RolloutKey key) {
  if (!app.state.serving()) return;
  core::Rollout& rollout = *app.state.find(key);
  app.gauge.reset();
  if (rollout.bake) note_bake(app, rollout);
  look_at_memory(app, rollout);
}

// A step is done when those that it replaces have gone. How large the next one may be is seen then:
// there may be more memory by now, or less.
void Reconciler::look_between_steps(AppEntry& app) {
  auto coming = app.state.coming();
  const std::int32_t workers = app.state.workers();
  const bool done = app.state.ready() == workers && workers <= app.record.spec.workers;
  if (!done || !coming || !app.state.serving()) return;
  core::Rollout& rollout = *app.state.find(*coming);
  if (rollout.phase != core::RolloutPhase::Switching || rollout.measured_at == rollout.ready()) {
    return;
  }
  look_at_memory(app, rollout);
}

void Reconciler::look_at_memory(AppEntry& app, core::Rollout& rollout) {
  rollout.measured_at = rollout.ready();
  const std::int32_t before = core::surge_of(app.record.spec, rollout.surge);
  std::int32_t fit = core::workers_that_fit(app.record.spec, measure_memory(app.state, runtime_));
  // Those that are up already were counted as used.
  std::int64_t surplus = app.state.workers() - app.record.spec.workers;
  rollout.surge =
      static_cast<std::int32_t>(std::clamp<std::int64_t>(fit + surplus, 0, core::kAnySurge));
  std::int32_t surge = core::surge_of(app.record.spec, rollout.surge);
  std::int32_t asked =
      std::min(core::surge_of(app.record.spec, core::kAnySurge), app.record.spec.workers);
  if (std::min(surge, asked) == std::min(before, asked)) return;
  if (surge >= asked) {
    note(app.record.id,
         fmt::format("there is memory for all again: rollout {} goes on as asked", rollout.number));
    return;
  }
  note(app.record.id, fmt::format("there is memory for {} more workers only: rollout {} takes over "
                                  "in steps of {}",
                                  fit, rollout.number, surge));
}

}  // namespace appd::reconcile
