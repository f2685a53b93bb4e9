// Sums of what is counted apart.
#include "supervisor/model/measurement.h"

#include <numeric>

namespace appd::model {
namespace {

template <std::size_t N>
void add(std::array<std::int64_t, N>& to, const std::array<std::int64_t, N>& more) {
  for (std::size_t i = 0; i < N; ++i) to[i] += more[i];
}

}  // namespace

void Tally::count(const Operation& ended) {
  const auto outcome =
      static_cast<std::size_t>(ended.phase) - static_cast<std::size_t>(OperationPhase::Succeeded);
  ++operations[static_cast<std::size_t>(ended.kind)][outcome];
}

std::int64_t Tally::unexpected_exits() const {
  return std::accumulate(exits.begin(), exits.end(), std::int64_t{0}) -
         exits[static_cast<std::size_t>(DeathCause::Asked)];
}

Tally& Tally::operator+=(const Tally& more) {
  counts += more.counts;
  cpu += more.cpu;
  log_lost_lines += more.log_lost_lines;
  log_lost_bytes += more.log_lost_bytes;
  recycled += more.recycled;
  add(exits, more.exits);
  add(failures, more.failures);
  for (std::size_t i = 0; i < operations.size(); ++i) add(operations[i], more.operations[i]);
  return *this;
}

}  // namespace appd::model
