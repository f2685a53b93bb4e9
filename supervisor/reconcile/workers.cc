// What is asked of one worker, and what workers are measured by.
#include "supervisor/core/recycling.h"
#include "supervisor/model/text.h"
#include "supervisor/reconcile/reconciler.h"
#include "supervisor/runtime/memory.h"

namespace appd::reconcile {
namespace {

using std::chrono::steady_clock;

// The zygote gives a worker one second.
constexpr std::chrono::seconds kStacksTime{5};

std::string name_of(const std::string& app, std::int32_t worker) {
  return "apps/" + app + "/workers/" + std::to_string(worker);
}

Error refused(const std::string& app, std::int32_t worker, const std::string& why) {
  return {ErrorCode::FailedPrecondition, "WORKER_NOT_READY", name_of(app, worker) + " " + why, 0};
}

}  // namespace

Answer<Reconciler::Place> Reconciler::find_worker(const std::string& app, std::int32_t worker) {
  auto it = apps_.find(app);
  if (it == apps_.end()) return app_not_found(app);
  for (auto& [key, rollout] : it->second.state.rollouts) {
    auto found = rollout.workers.find(static_cast<core::WorkerId>(worker));
    if (found != rollout.workers.end()) return Place{&it->second, key, &found->second};
  }
  return Error{ErrorCode::NotFound, "WORKER_NOT_FOUND", "there is no " + name_of(app, worker), 0};
}

void Reconciler::dump_stacks(std::string app, std::int32_t worker, Reply<WorkerStacks> reply) {
  post([this, app = std::move(app), worker, reply = std::move(reply)] {
    auto place = find_worker(app, worker);
    if (!place) return reply(place.rejection());
    auto id = static_cast<core::WorkerId>(worker);
    std::int32_t pid = place.value().worker->pid;
    if (pid == 0) return reply(refused(app, worker, "is not forked yet: try again"));
    if (!runtime_.take_stacks(place.value().rollout, id)) {
      return reply(refused(app, worker, "has lost its zygote and is being replaced"));
    }
    stacks_waits_.push_back(
        {place.value().rollout, id, pid, steady_clock::now() + kStacksTime, reply});
  });
}

void Reconciler::answer_stacks(core::RolloutKey key, const core::StacksTaken& taken) {
  std::erase_if(stacks_waits_, [&](const StacksWait& wait) {
    if (wait.rollout != key || wait.worker != taken.worker) return false;
    wait.reply(WorkerStacks{wait.pid, model::utf8(taken.text)});
    return true;
  });
}

std::optional<core::Time> Reconciler::expire_stacks(core::Time now) {
  std::optional<core::Time> next;
  std::erase_if(stacks_waits_, [&](const StacksWait& wait) {
    if (wait.deadline > now) {
      if (!next || wait.deadline < *next) next = wait.deadline;
      return false;
    }
    wait.reply(Error{ErrorCode::DeadlineExceeded, "STACKS_NOT_TAKEN",
                     "the worker's zygote has not answered, or the worker has ended: try again",
                     0});
    return true;
  });
  return next;
}

Answer<model::WorkerView> Reconciler::do_recycle(const RecycleWorker& request) {
  auto replay = replayed<model::WorkerView>(
      request.options, [](const store::Replay&) { return model::WorkerView(); });
  if (replay && !*replay) return replay->rejection();
  auto place = find_worker(request.app, request.worker);
  if (replay && (!place || !place.value().worker->recycle_asked)) {
    model::WorkerView gone;
    gone.app = request.app;
    gone.id = request.worker;
    gone.state = model::WorkerState::Exited;
    gone.process_state = model::ProcessState::Exited;
    return gone;
  }
  if (!place) return place.rejection();
  auto [entry, key, found] = place.value();
  const core::Rollout& rollout = *entry->state.find(key);
  const auto id = static_cast<core::WorkerId>(request.worker);
  if (replay) return worker_view(*entry, key, id, *found, runtime_.figures(key, id));
  if (rollout.phase != core::RolloutPhase::Serving || rollout.zygote_gone ||
      found->state != model::WorkerState::Ready) {
    return refused(request.app, request.worker,
                   "does not serve, or is on its way out already: only a worker that is ready can "
                   "be replaced");
  }
  store::Change change;
  change.audit = audit_line("replaced " + name_of(request.app, request.worker), request.options);
  change.request = answered_by(request.options, request.app, "");
  if (auto stored = store_->commit(change, std::chrono::system_clock::now()); !stored) {
    return std::move(stored).error();
  }
  found->recycle_asked = true;
  dirty_.insert(request.app);
  return worker_view(*entry, key, id, *found, runtime_.figures(key, id));
}

void Reconciler::recycle_worker(RecycleWorker request, Reply<model::WorkerView> reply) {
  post([this, request = std::move(request), reply = std::move(reply)] {
    reply(do_recycle(request));
  });
}

// The planner decides by these whether a worker is due.
void Reconciler::sample(AppEntry& app) {
  const model::AppSpec& spec = app.record.spec;
  auto now = steady_clock::now();
  auto serving = app.state.serving();
  bool due = now - app.sampled >= core::kLookAtFigures;
  if (!serving || !core::needs_figures(spec) || !due) return;
  app.sampled = now;
  for (auto& [id, worker] : app.state.find(*serving)->workers) {
    if (worker.state != model::WorkerState::Ready) continue;
    const ScoreboardSlot* slot = runtime_.figures(*serving, id);
    if (slot != nullptr && slot->pid.load(std::memory_order_relaxed) == worker.pid) {
      worker.requests = static_cast<std::int64_t>(own_counts(*slot).requests);
    }
    worker.memory = spec.max_memory > 0 ? runtime::resident_memory(worker.pid) : 0;
  }
}

}  // namespace appd::reconcile
