// From /proc and scoreboards to values.
#include "supervisor/reconcile/gauge.h"

#include <algorithm>

#include "supervisor/runtime/memory.h"

namespace appd::reconcile {
namespace {

constexpr std::size_t kSample = 4;  // workers of a rollout whose memory is read

core::Figures figures_of(const ScoreboardSlot& slot) {
  constexpr auto relaxed = std::memory_order_relaxed;
  core::Figures figures;
  figures.requests = slot.requests.load(relaxed);
  figures.errors = slot.errors.load(relaxed);
  for (std::size_t i = 0; i < figures.latency.size(); ++i) {
    figures.latency[i] = slot.latency[i].load(relaxed);
  }
  return figures;
}

// A counter that has become smaller has begun anew.
std::uint64_t growth(std::uint64_t from, std::uint64_t to) { return to >= from ? to - from : to; }

core::Figures growth(const core::Figures& from, const core::Figures& to) {
  core::Figures out;
  out.requests = growth(from.requests, to.requests);
  out.errors = growth(from.errors, to.errors);
  for (std::size_t i = 0; i < out.latency.size(); ++i) {
    out.latency[i] = growth(from.latency[i], to.latency[i]);
  }
  return out;
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
      core::Figures now = figures_of(*slot);
      auto [entry, is_new] = slots_.try_emplace({key, id}, Slot{now, {}});
      if (!is_new) entry->second.since += growth(entry->second.last, now);
      entry->second.last = now;
    }
  }
  core::Figures sum;
  for (const auto& [place, slot] : slots_) {
    if (place.first == key) sum += slot.since;
  }
  return sum;
}

core::BakeFigures BakeGauge::read(const core::AppState& app, core::RolloutKey canary,
                                  core::RolloutKey old, const runtime::Runtime& runtime) {
  core::BakeFigures figures = before_;
  figures.canary += read(app, canary, runtime);
  figures.old += read(app, old, runtime);
  return figures;
}

}  // namespace appd::reconcile
