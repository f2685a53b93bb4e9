// What a rollout is decided by: how its canary does, and what memory there is.
#include <spdlog/fmt/fmt.h>

#include <algorithm>

#include "supervisor/reconcile/reconciler.h"

namespace appd::reconcile {

// What the canary and the old rollout have answered meanwhile becomes part of the state.
void Reconciler::read_gauge(AppEntry& app) {
  auto coming = app.state.coming();
  auto old = app.state.serving();
  if (!app.gauge || !coming || !old || !app.state.find(*coming)->baking()) return;
  app.state.find(*coming)->bake->figures = app.gauge->read(app.state, *coming, *old, runtime_);
}

void Reconciler::note_bake(const AppEntry& app, const core::Rollout& rollout) {
  core::CanaryJudgement judgement = core::judge(app.record.spec, rollout.bake->figures, true);
  bool known = judgement.verdict != core::CanaryVerdict::Unknown;
  note(app.record.id,
       fmt::format("the canary of rollout {} {}: {}", rollout.number,
                   known ? "did well" : "had too few requests to be compared", judgement.text));
}

void Reconciler::on_switching(AppEntry& app, core::RolloutKey key) {
  if (!app.state.serving()) return;
  core::Rollout& rollout = *app.state.find(key);
  app.gauge.reset();
  if (rollout.bake) note_bake(app, rollout);
  std::int32_t fit = core::workers_that_fit(app.record.spec, measure_memory(app.state, runtime_));
  // Those that are up already were counted as used.
  std::int64_t surplus = app.state.workers() - app.record.spec.workers;
  rollout.surge =
      static_cast<std::int32_t>(std::clamp<std::int64_t>(fit + surplus, 0, core::kAnySurge));
  std::int32_t surge = core::surge_of(app.record.spec, rollout.surge);
  std::int32_t asked = core::surge_of(app.record.spec, core::kAnySurge);
  if (surge >= std::min(asked, app.record.spec.workers)) return;
  note(app.record.id, fmt::format("there is memory for {} more workers only: rollout {} takes over "
                                  "in steps of {}",
                                  fit, rollout.number, surge));
}

}  // namespace appd::reconcile
