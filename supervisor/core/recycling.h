// Recycling: which workers are due to be replaced, and how many at once. Pure.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "supervisor/core/state.h"

namespace appd::core {

// How often the figures of workers are looked at while a limit needs them.
inline constexpr std::chrono::seconds kLookAtFigures{1};

// Why the worker is due: "asked", "max_requests", "max_worker_lifetime", "max_memory"; empty: it is
// not.
// Every worker adds a part of the jitter that is its own, and stays so for its life.
std::string due_for(const model::AppSpec& spec, WorkerId id, const Worker& worker, Time now);
// When it will be by its age.
std::optional<Time> due_at(const model::AppSpec& spec, WorkerId id, const Worker& worker);
// Whether a limit is set that figures are needed for.
bool needs_figures(const model::AppSpec& spec);

// So many of a pool may be in replacement at once: a tenth, but one at least.
std::int32_t share_of(std::int32_t workers);

}  // namespace appd::core
