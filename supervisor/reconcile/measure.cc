// What the core thread gives the meter to read, and what it has counted itself.
#include <future>

#include "supervisor/reconcile/reconciler.h"

namespace appd::reconcile {

Roster Reconciler::roster() {
  Roster out;
  {
    const std::lock_guard lock(calls_mutex_);
    out.calls = api_calls_;
  }
  for (const auto& [id, entry] : apps_) {
    Roster::App& app = out.apps.emplace_back();
    const core::Desired want = desired(entry);
    const model::AppObserved observed = observe(entry, want, runtime_);
    app.app.id = id;
    app.app.uid = entry.record.uid;
    app.app.state = observed.state;
    app.app.process_state = observed.process_state;
    app.app.worker_class = observed.worker_class;
    app.app.rollout = observed.rollout;
    app.app.wanted_workers = want.running() ? want.spec.workers : 0;
    app.app.ready_workers = observed.ready_workers;
    app.app.open_operations = static_cast<std::int32_t>(book_.open(id).size());
    app.app.queue = entry.listeners.waiting();
    app.app.tally = entry.tally;
    std::map<core::WorkerId, Roster::Worker> by_id;
    for (const auto& [key, rollout] : entry.state.rollouts) {
      const auto board = runtime_.scoreboard(key);
      app.rollouts.push_back({board, rollout.zygote_gone ? 0 : runtime_.zygote_pid(key)});
      for (const auto& [worker_id, worker] : rollout.workers) {
        if (worker.pid == 0) continue;
        by_id[worker_id] = {worker_view(entry, key, worker_id, worker, nullptr, false), board};
      }
    }
    for (auto& [worker_id, worker] : by_id) app.workers.push_back(std::move(worker));
  }
  return out;
}

void Reconciler::measure(std::optional<std::string> app,
                         Reply<std::shared_ptr<const model::Measurement>> reply) {
  post_beside([this, wanted = std::move(app), reply = std::move(reply)] {
    if (wanted && !apps_.contains(*wanted)) return reply(app_not_found(*wanted));
    meter_.read(roster(), reply);
  });
}

void Reconciler::count_call(const std::string& method, const std::string& code) {
  const std::lock_guard lock(calls_mutex_);
  ++api_calls_[{method, code}];
}

void Reconciler::count_ended(const std::vector<model::Operation>& stored) {
  for (const model::Operation& operation : stored) {
    auto app = apps_.find(operation.app);
    if (app == apps_.end() || !is_done(operation.phase)) continue;
    app->second.tally.count(operation);
    tallies_changed_ = true;
  }
}

// Waits until the meter has written them down: its thread may not be there any more in a moment.
void Reconciler::keep_tallies() {
  std::promise<void> kept;
  meter_.read(roster(), [&kept](const auto&) { kept.set_value(); });
  kept.get_future().wait();
}

// After adopt(): a rollout that is not there any more has ended while no appd was.
void Reconciler::restore_tallies() {
  store::Books books = store::load_books(runtime_.paths().ledger());
  api_calls_ = std::move(books.calls);
  for (auto& [id, app] : apps_) {
    auto kept = books.apps.find(app.record.uid);
    if (kept == books.apps.end()) continue;
    app.tally = kept->second.ended;
    for (const auto& [key, rollout] : app.state.rollouts) {
      const auto board = runtime_.scoreboard(key);
      if (board == nullptr) continue;
      if (auto told = kept->second.boards.extract(board->id())) {
        meter_.restore(app.record.uid, told.key(), told.mapped());
      }
    }
    for (const auto& [board, tally] : kept->second.boards) app.tally += tally;
  }
}

}  // namespace appd::reconcile
