// The certificates of workers that ended: what only appd knows is added, and they are kept.
//
// A worker that was told to go and has finished what it had is counted; every other end is
// certified.
#include <spdlog/fmt/fmt.h>

#include <algorithm>

#include "supervisor/model/text.h"
#include "supervisor/reconcile/in_hand.h"
#include "supervisor/reconcile/reconciler.h"

namespace appd::reconcile {
namespace {

// As many are named, of those inside the app and of those that waited for their clients.
constexpr int kNamedInApp = 8;
constexpr int kNamedWaiting = 4;

std::vector<model::LostRequest> lost_requests(const ScoreboardSlot& slot,
                                              std::chrono::steady_clock::time_point end) {
  std::vector<model::LostRequest> lost;
  int in_app = 0;
  int waiting = 0;
  for (model::RequestView& request : requests_in_hand(slot, end)) {
    const bool named = request.stage == model::RequestStage::InApp ? in_app++ < kNamedInApp
                                                                   : waiting++ < kNamedWaiting;
    if (!named) continue;
    lost.push_back(
        {std::move(request.method), std::move(request.path), request.age, request.stage});
  }
  return lost;
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
  const Counts counts = own_counts(*slot);
  figures.requests = static_cast<std::int64_t>(counts.requests);
  figures.errors = static_cast<std::int64_t>(errors(counts));
  figures.bytes_in = static_cast<std::int64_t>(counts.bytes_in);
  figures.bytes_out = static_cast<std::int64_t>(counts.bytes_out);
  figures.busy = static_cast<std::int32_t>(slot->busy.load(relaxed));
  figures.connections = static_cast<std::int32_t>(slot->connections.load(relaxed));
  figures.in_hand = lost_requests(*slot, end);
  figures.receiving = static_cast<std::int32_t>(slot->receiving.load(relaxed));
  figures.sending = static_cast<std::int32_t>(slot->sending.load(relaxed));
  figures.websockets = static_cast<std::int32_t>(slot->websockets.load(relaxed));
  return figures;
}

Result<void> Reconciler::load_last_deaths() {
  for (const model::Death& death : TRY(store_->last_deaths())) {
    auto it = apps_.find(death.app);
    // One that could not be stored yet is newer.
    if (it == apps_.end() || it->second.last_death >= death.id) continue;
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
  ++app.tally.exits[static_cast<std::size_t>(death.cause)];
  tallies_changed_ = true;
  if (exit.expected && !exit.worker.recycling.empty()) ++app.tally.recycled;
  if (death.cause == model::DeathCause::Asked) {
    ++app.state.drained_exits;
    return;
  }
  judge_limits(app, death);
  death.app = app.record.id;
  death.id = ++app.last_death;
  death.log_tail = model::utf8(runtime_.log_tail(app.record.id));
  app.last_death_reason = death.reason;
  deaths_.push_back(death);
  if (exit.expected) note_cut(app, key, exit);
}

// Who is replaced for its age goes for no operation.
void Reconciler::note_cut(AppEntry& app, core::RolloutKey key,
                          const core::Consequences::Exit& exit) {
  const std::optional<model::CutWorker> cut = core::cut_by(exit.death);
  if (!cut) return;
  note(app.record.id,
       fmt::format("worker {} has ended with {} in hand ({}): appctl workers {} --dead {}",
                   cut->worker, model::cut_words(cut->requests, cut->websockets),
                   cut->limit.empty() ? exit.death.reason : cut->limit, app.record.id, cut->death));
  if (!exit.worker.recycling.empty()) return;
  const core::Rollout* rollout = app.state.find(key);
  const model::Milliseconds grace =
      rollout != nullptr ? core::graceful_timeout_of(*rollout) : app.record.spec.graceful_timeout;
  // What replaces a rollout did not make a scaled pool's worker go, nor the other way round.
  const bool runs = app.desired().running() && rollout != nullptr && !app.state.coming();
  const bool replaced = rollout != nullptr && rollout->phase == core::RolloutPhase::Retiring;
  for (model::Operation* operation : book_.open(app.record.id)) {
    if (runs && (operation->rollout != 0) != replaced) continue;
    operation->cut.add(*cut, grace);
    book_.keep(*operation);
    publish_operation(*operation);
  }
}

void Reconciler::deaths(model::AppScope scope, Reply<std::vector<model::Death>> reply) {
  post([this, scope = std::move(scope), reply = std::move(reply)] {
    if (!is_there(scope)) return reply(app_not_found(scope.app));
    store_changed();
    auto found = store_->deaths(scope.app.empty() ? std::nullopt : std::optional(scope.app));
    if (!found) return reply(std::move(found).error());
    std::erase_if(*found, [&](const auto& death) { return !scope.holds(death.app); });
    reply(*std::move(found));
  });
}

}  // namespace appd::reconcile
