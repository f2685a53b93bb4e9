// Gauges: what the processes of an app show of themselves, as the values that the core decides by.
#pragma once

#include <map>
#include <utility>

#include "supervisor/core/state.h"
#include "supervisor/runtime/runtime.h"

namespace appd::reconcile {

// Reads /proc for a few workers of each rollout and takes the others to be like them. Some
// milliseconds: at the turns of a rollout only.
core::MemoryFigures measure_memory(const core::AppState& app, const runtime::Runtime& runtime);

// What canary and old rollout have answered since it was made, and `before`. Core thread only.
class BakeGauge {
 public:
  explicit BakeGauge(core::BakeFigures before = {}) : before_(before) {}
  // `canary` and `old` are the same in every call; a slot that is used later counts from then on.
  core::BakeFigures read(const core::AppState& app, core::RolloutKey canary, core::RolloutKey old,
                         const runtime::Runtime& runtime);

 private:
  struct Slot {
    Counts first;  // as it was when it was read first, and last
    Counts last;
  };
  core::Figures read(const core::AppState& app, core::RolloutKey key,
                     const runtime::Runtime& runtime);

  core::BakeFigures before_;
  std::map<std::pair<core::RolloutKey, core::WorkerId>, Slot> slots_;
};

}  // namespace appd::reconcile
