// From /proc and scoreboards to values.
#include "supervisor/reconcile/gauge.h"

#include <algorithm>

#include "supervisor/runtime/memory.h"

namespace appd::reconcile {
namespace {

constexpr std::size_t kSample = 4;  // workers of a rollout whose memory is read

core::Figures figures_of(const Counts& counts) {
  core::Figures figures;
  figures.requests = counts.requests;
  figures.errors = errors(counts);
  std::copy(std::begin(counts.latency), std::end(counts.latency), figures.latency.begin());
  return figures;
}

}  // namespace

core::MemoryFigures measure_memory(const core::AppState& app, const runtime::Runtime& runtime) {
  core::MemoryFigures figures;
  figures.available = runtime::available_memory();
  for (const auto& [key, rollout] : app.rollouts) {
    if (auto zygote = runtime::read_memory(runtime.zygote_pid(key))) figures.used += zygote->share;
    std::int64_t sum = 0;
    std::int64_t read = 0;
    for (const auto& [id, worker] : rollout.workers) {
      if (read == static_cast<std::int64_t>(kSample)) break;
      if (worker.pid == 0) continue;
      auto memory = runtime::read_memory(worker.pid);
      if (!memory) continue;
      sum += memory->share;
      ++read;
      figures.worker = std::max(figures.worker, memory->own);
    }
    if (read > 0) figures.used += sum / read * static_cast<std::int64_t>(rollout.workers.size());
  }
  return figures;
}

core::Figures BakeGauge::read(const core::AppState& app, core::RolloutKey key,
                              const runtime::Runtime& runtime) {
  if (const core::Rollout* rollout = app.find(key)) {
    for (const auto& [id, worker] : rollout->workers) {
      const ScoreboardSlot* slot = runtime.figures(key, id);
      if (slot == nullptr) continue;
      const Counts now = appd::read(slot->counters);
      slots_.try_emplace({key, id}, Slot{now, now}).first->second.last = now;
    }
  }
  Counts sum;
  for (const auto& [place, slot] : slots_) {
    if (place.first == key) sum += growth(slot.first, slot.last);
  }
  return figures_of(sum);
}

core::BakeFigures BakeGauge::read(const core::AppState& app, core::RolloutKey canary,
                                  core::RolloutKey old, const runtime::Runtime& runtime) {
  core::BakeFigures figures = before_;
  figures.canary += read(app, canary, runtime);
  figures.old += read(app, old, runtime);
  return figures;
}

}  // namespace appd::reconcile
