// The rules of adoption.
#include "supervisor/core/adoption.h"

#include <algorithm>
#include <tuple>

namespace appd::core {
namespace {

using std::chrono::duration_cast;
using std::chrono::milliseconds;

message::Tally tally_of(const Figures& figures) {
  return {figures.requests, figures.errors, figures.latency};
}

Figures figures_of(const message::Tally& tally) {
  return {tally.requests, tally.errors, tally.latency};
}

RolloutPhase phase_of(const model::AppRecord& record, const Rollout& rollout) {
  if (rollout.number == record.failed_rollout) return RolloutPhase::Retiring;
  const bool good = rollout.number == record.good_rollout;
  if (rollout.zygote_gone) return good ? RolloutPhase::Serving : RolloutPhase::Retiring;
  if (good || rollout.number == record.rollout) return rollout.phase;
  const bool serves = record.good_rollout == 0 && rollout.phase == RolloutPhase::Serving;
  return serves ? RolloutPhase::Serving : RolloutPhase::Retiring;
}

// Of several in one place the best stays, the others go.
template <typename In, typename Rank>
void keep_best(AppState& app, In in, Rank rank) {
  Rollout* best = nullptr;
  for (auto& [key, rollout] : app.rollouts) {
    if (!in(rollout)) continue;
    if (best == nullptr) {
      best = &rollout;
      continue;
    }
    Rollout& worse = rank(rollout) < rank(*best) ? rollout : *best;
    if (&worse == best) best = &rollout;
    worse.phase = RolloutPhase::Retiring;
  }
}

}  // namespace

message::Stage stage_of(const Rollout& rollout, Time now) {
  message::Stage stage;
  switch (rollout.phase) {
    case RolloutPhase::Preparing:
    case RolloutPhase::Retiring:
      break;
    case RolloutPhase::Warming:
      if (!rollout.bake) break;
      stage.baking = true;
      stage.baked_ms = static_cast<std::uint64_t>(std::max<std::int64_t>(
          duration_cast<milliseconds>(now - rollout.bake->began).count(), 0));
      stage.canary = tally_of(rollout.bake->figures.canary);
      stage.old = tally_of(rollout.bake->figures.old);
      break;
    case RolloutPhase::Switching:
      stage.phase = message::StagePhase::Switching;
      stage.surge = static_cast<std::uint32_t>(rollout.surge);
      break;
    case RolloutPhase::Serving:
      stage.phase = message::StagePhase::Serving;
      break;
  }
  return stage;
}

void take_up(const message::Stage& stage, Rollout& rollout, Time now) {
  rollout.phase_began = now;
  switch (stage.phase) {
    case message::StagePhase::Unproven:
      // Warming follows when the zygote has told that it is loaded.
      rollout.phase = RolloutPhase::Preparing;
      break;
    case message::StagePhase::Switching:
      rollout.phase = RolloutPhase::Switching;
      rollout.surge =
          static_cast<std::int32_t>(std::min(stage.surge, static_cast<std::uint32_t>(kAnySurge)));
      break;
    case message::StagePhase::Serving:
      rollout.phase = RolloutPhase::Serving;
      break;
  }
  if (!stage.baking) return;
  rollout.bake.emplace(Rollout::Bake{now - milliseconds(stage.baked_ms),
                                     {figures_of(stage.canary), figures_of(stage.old)}});
}

void sort_out_adopted(const model::AppRecord& record, AppState& app) {
  for (auto& [key, rollout] : app.rollouts) rollout.phase = phase_of(record, rollout);
  keep_best(
      app, [](const Rollout& r) { return r.phase == RolloutPhase::Serving; },
      [](const Rollout& r) { return std::make_tuple(!r.zygote_gone, r.number); });
  keep_best(
      app, [](const Rollout& r) { return r.phase < RolloutPhase::Serving; },
      [](const Rollout& r) { return std::make_tuple(r.number, r.phase); });
}

}  // namespace appd::core
