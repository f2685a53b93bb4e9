// What watchers and the log are told.
#include <array>

#include "supervisor/reconcile/reconciler.h"

namespace appd::reconcile {

using std::chrono::system_clock;

void Reconciler::publish(const std::string& app, decltype(model::Event::what) what) {
  hub_->publish({0, system_clock::now(), app, std::move(what)});
}

void Reconciler::publish_app(AppEntry& app) {
  model::AppView seen = view(app, desired(app), runtime_);
  if (app.published && same(*app.published, seen.observed)) return;
  if (!app.published || app.published->state != seen.observed.state) {
    log_->info("app state app={} state={} ready={} wanted={}", app.record.id,
               std::array{"starting", "active", "updating", "stopping", "stopped", "failing",
                          "deleting"}[static_cast<std::size_t>(seen.observed.state)],
               seen.observed.ready_workers, app.record.spec.workers);
  }
  app.published = seen.observed;
  publish(app.record.id, std::move(seen));
}

void Reconciler::publish_operation(const model::Operation& operation) {
  publish(operation.app, operation);
}

void Reconciler::publish_worker(AppEntry& app, core::RolloutKey key, core::WorkerId id) {
  const core::Rollout* rollout = app.state.find(key);
  if (rollout == nullptr || !rollout->workers.contains(id)) return;
  const core::Worker& worker = rollout->workers.at(id);
  publish(app.record.id, worker_view(app, key, id, worker, runtime_.figures(key, id)));
  if (worker.state == model::WorkerState::Ready && worker.recycling.empty()) {
    auto took = std::chrono::duration_cast<std::chrono::milliseconds>(*worker.ready - worker.asked);
    log_->info("worker ready app={} rollout={} worker={} pid={} took_ms={}", app.record.id,
               rollout->number, id, worker.pid, took.count());
  }
}

void Reconciler::publish_exit(AppEntry& app, core::RolloutKey key,
                              const core::Consequences::Exit& exit) {
  model::WorkerView seen =
      worker_view(app, key, exit.id, exit.worker, runtime_.figures(key, exit.id));
  seen.exit_reason = exit.death.reason;
  publish(app.record.id, std::move(seen));
  publish_removed(app.record.id, "apps/" + app.record.id + "/workers/" + std::to_string(exit.id));
  if (exit.expected) {
    log_->info("worker left app={} worker={} pid={} cause={} how=\"{}\"", app.record.id, exit.id,
               exit.death.pid, word_of(exit.death.cause), exit.death.reason);
  } else {
    log_->warn("worker lost, replacing it app={} worker={} pid={} cause={} how=\"{}\"",
               app.record.id, exit.id, exit.death.pid, word_of(exit.death.cause),
               exit.death.reason);
  }
}

void Reconciler::publish_removed(const std::string& app, std::string name) {
  publish(app, model::Removed{std::move(name)});
}

void Reconciler::note(const std::string& app, const std::string& text) {
  log_->info("note app={} text=\"{}\"", app, text);
  publish(app, model::Note{text});
}

}  // namespace appd::reconcile
