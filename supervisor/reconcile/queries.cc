// The calls that only read.
#include "supervisor/reconcile/reconciler.h"

namespace appd::reconcile {

bool Reconciler::is_there(const model::AppScope& scope) const {
  return scope.app.empty() || apps_.contains(scope.app);
}

void Reconciler::snapshot(model::AppScope scope, Reply<Snapshot> reply) {
  post_beside([this, scope = std::move(scope), reply = std::move(reply)] {
    if (!is_there(scope)) return reply(app_not_found(scope.app));
    Snapshot out;
    out.revision = hub_->revision();
    for (const auto& [id, entry] : apps_) {
      if (!scope.holds(id)) continue;
      out.apps.push_back(view(entry, desired(entry), runtime_));
      std::map<core::WorkerId, model::WorkerView> by_id;
      for (const auto& [key, rollout] : entry.state.rollouts) {
        for (const auto& [worker_id, worker] : rollout.workers) {
          by_id[worker_id] =
              worker_view(entry, key, worker_id, worker, runtime_.figures(key, worker_id));
        }
      }
      for (auto& [worker_id, worker] : by_id) out.workers.push_back(std::move(worker));
    }
    reply(std::move(out));
  });
}

void Reconciler::operation(std::string id, Reply<model::Operation> reply) {
  post_beside([this, id = std::move(id), reply = std::move(reply)] {
    const model::Operation* operation = book_.find(id);
    if (operation != nullptr) {
      reply(*operation);
    } else {
      reply(operation_not_found(id));
    }
  });
}

void Reconciler::operations(model::AppScope scope, Reply<std::vector<model::Operation>> reply) {
  post_beside(
      [this, scope = std::move(scope), reply = std::move(reply)] { reply(book_.list(scope)); });
}

void Reconciler::revisions(std::string app, Reply<std::vector<model::Revision>> reply) {
  post_beside([this, app = std::move(app), reply = std::move(reply)] {
    if (!apps_.contains(app)) return reply(app_not_found(app));
    auto found = store_->revisions(app);
    if (!found) return reply(std::move(found).error());
    for (model::Revision& revision : *found) {
      // The store hears of an operation when it has ended.
      const model::Operation* operation = book_.find(revision.operation);
      if (operation == nullptr) continue;
      if (!is_done(revision.outcome)) revision.outcome = operation->phase;
      revision.cut = operation->cut;
    }
    reply(*std::move(found));
  });
}

void Reconciler::wait_operation(std::string id, std::chrono::steady_clock::time_point deadline,
                                Reply<model::Operation> reply) {
  post_beside([this, id = std::move(id), deadline, reply = std::move(reply)] {
    book_.wait(id, deadline, reply);
  });
}

Result<std::unique_ptr<Subscription>> Reconciler::subscribe(std::int64_t from,
                                                            model::AppScope scope,
                                                            std::function<void()> wake) {
  return hub_->subscribe(from, std::move(scope), std::move(wake));
}

}  // namespace appd::reconcile
