// The limits of a worker's life.
#include "supervisor/core/recycling.h"

#include <algorithm>

namespace appd::core {
namespace {

// 0 to `most`, by who the worker is: no memory is needed, and a later appd comes to the same.
std::int64_t part_of_jitter(WorkerId id, const Worker& worker, std::int64_t most) {
  if (most <= 0) return 0;
  // splitmix64's finish
  auto x = (static_cast<std::uint64_t>(worker.pid) << 32) + id + 0x9e3779b97f4a7c15;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  x ^= x >> 31;
  return static_cast<std::int64_t>(x % (static_cast<std::uint64_t>(most) + 1));
}

}  // namespace

std::optional<Time> due_at(const model::AppSpec& spec, WorkerId id, const Worker& worker) {
  if (spec.max_worker_lifetime.count() == 0 || !worker.ready) return std::nullopt;
  std::int64_t more = part_of_jitter(id, worker, spec.max_worker_lifetime_jitter.count());
  return *worker.ready + spec.max_worker_lifetime + model::Milliseconds(more);
}

std::string due_for(const model::AppSpec& spec, WorkerId id, const Worker& worker, Time now) {
  if (worker.recycle_asked) return "asked";
  auto by_age = due_at(spec, id, worker);
  if (by_age && now >= *by_age) return "max_worker_lifetime";
  std::int64_t more = part_of_jitter(id, worker, spec.max_requests_jitter);
  if (spec.max_requests > 0 && worker.requests >= spec.max_requests + more) return "max_requests";
  if (spec.max_memory > 0 && worker.memory >= spec.max_memory) return "max_memory";
  return {};
}

bool needs_figures(const model::AppSpec& spec) {
  return spec.max_requests > 0 || spec.max_memory > 0;
}

std::int32_t share_of(std::int32_t workers) { return std::max(workers / 10, 1); }

}  // namespace appd::core
