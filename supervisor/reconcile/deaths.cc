// The certificates of workers that ended: what only appd knows is added, and they are kept.
//
// A worker that was told to go and has finished what it had is counted; every other end is
// certified.
#include <algorithm>
#include <cstring>

#include "supervisor/model/text.h"
#include "supervisor/reconcile/in_hand.h"
#include "supervisor/reconcile/reconciler.h"

namespace appd::reconcile {
namespace {

std::vector<model::LostRequest> lost_requests(const ScoreboardSlot& slot,
                                              std::chrono::steady_clock::time_point end) {
  std::vector<model::LostRequest> found;
  for (model::RequestView& request : requests_in_hand(slot, end)) {
    found.push_back({std::move(request.method), std::move(request.path), request.age});
  }
  return found;
}

}  // namespace

// The zygote frees the slot of a child that it has buried, and clears it only for the next fork.
model::LastFigures last_figures(const ScoreboardSlot* slot, std::int32_t pid,
                                std::chrono::steady_clock::time_point end) {
  constexpr auto relaxed = std::memory_order_relaxed;
  model::LastFigures figures;
  if (slot == nullptr) return figures;
  const std::int32_t owner = slot->pid.load(relaxed);
  if (owner != 0 && owner != pid) return figures;
  figures.requests = static_cast<std::int64_t>(slot->requests.load(relaxed));
  figures.errors = static_cast<std::int64_t>(slot->errors.load(relaxed));
  figures.bytes_in = static_cast<std::int64_t>(slot->bytes_in.load(relaxed));
  figures.bytes_out = static_cast<std::int64_t>(slot->bytes_out.load(relaxed));
  figures.busy = static_cast<std::int32_t>(slot->busy.load(relaxed));
  figures.connections = static_cast<std::int32_t>(slot->connections.load(relaxed));
  figures.in_hand = lost_requests(*slot, end);
  return figures;
}

Result<void> Reconciler::load_last_deaths() {
  for (const model::Death& death : TRY(store_->last_deaths())) {
    auto it = apps_.find(death.app);
    if (it == apps_.end()) continue;
    it->second.last_death = death.id;
    it->second.last_death_reason = death.reason;
  }
  return {};
}

void Reconciler::certify(AppEntry& app, core::RolloutKey key, core::Consequences::Exit& exit) {
  model::Death& death = exit.death;
  auto ago = std::max(std::chrono::system_clock::now() - death.end_time,
                      std::chrono::system_clock::duration::zero());
  core::note_figures(last_figures(runtime_.figures(key, exit.id), death.pid,
                                  std::chrono::steady_clock::now() - ago),
                     death);
  if (death.cause == model::DeathCause::Asked) {
    ++app.state.drained_exits;
    return;
  }
  death.app = app.record.id;
  death.id = ++app.last_death;
  death.log_tail = model::utf8(runtime_.log_tail(app.record.id));
  app.last_death_reason = death.reason;
  deaths_.push_back(death);
}

void Reconciler::deaths(std::optional<std::string> app, Reply<std::vector<model::Death>> reply) {
  post([this, wanted = std::move(app), reply = std::move(reply)] {
    if (wanted && !apps_.contains(*wanted)) {
      reply(Error{ErrorCode::NotFound, "APP_NOT_FOUND",
                  "there is no app " + *wanted + "; see appctl list", 0});
      return;
    }
    store_ended();
    auto found = store_->deaths(wanted);
    if (found) {
      reply(*std::move(found));
    } else {
      reply(std::move(found).error());
    }
  });
}

}  // namespace appd::reconcile
