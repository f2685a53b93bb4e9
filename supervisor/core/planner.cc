// The rules of the pool, from the top: stop, listen, replace, keep in number, keep in tune, retire.
#include "supervisor/core/planner.h"

#include <algorithm>
#include <set>
#include <utility>

namespace appd::core {
namespace {

using model::WorkerState;

class Planner {
 public:
  Planner(const Desired& want, const AppState& have, Time now)
      : want_(want), have_(have), now_(now) {}

  Plan run() {
    for (const auto& [key, rollout] : have_.rollouts) watch_retirement(key, rollout);
    if (!want_.running()) {
      stop();
      return std::move(plan_);
    }
    if (!have_.listening) {
      when_due(have_.starts, [this] { act(OpenListeners{}); });
      return std::move(plan_);
    }
    replace();
    if (auto key = have_.coming()) bring_up(*key, *have_.find(*key));
    if (auto key = have_.serving()) keep(*key, *have_.find(*key));
    return std::move(plan_);
  }

 private:
  void act(Action action) { plan_.actions.push_back(action); }

  void wake_at(Time when) {
    if (!plan_.deadline || when < *plan_.deadline) plan_.deadline = when;
  }

  template <typename Do>
  void when_due(const RestartPolicy& policy, Do act_now) {
    if (policy.may_start(now_)) {
      act_now();
    } else {
      wake_at(*policy.not_before());
    }
  }

  void stop() {
    for (const auto& [key, rollout] : have_.rollouts) retire(key, rollout);
    if (have_.rollouts.empty() && have_.listening) act(CloseListeners{});
  }

  // What has not served yet has nothing to drain, but a task is given the time to end well.
  void retire(RolloutKey key, const Rollout& rollout) {
    if (rollout.phase == RolloutPhase::Retiring) return;
    if (rollout.phase == RolloutPhase::Preparing && rollout.task.empty()) {
      act(KillRollout{key});
    } else {
      act(RetireRollout{key});
    }
  }

  void watch_retirement(RolloutKey key, const Rollout& rollout) {
    if (rollout.phase != RolloutPhase::Retiring || rollout.killed) return;
    if (rollout.doomed) {
      act(KillRollout{key});
      return;
    }
    Time limit = rollout.phase_began + rollout.spec.graceful_timeout + kRetireMargin;
    if (now_ >= limit) {
      act(KillRollout{key});
    } else {
      wake_at(limit);
    }
  }

  // Starts the wanted rollout unless it is there, on its way, or has failed while another serves.
  void replace() {
    auto coming = have_.coming();
    if (coming && have_.find(*coming)->number != want_.rollout) {
      retire(*coming, *have_.find(*coming));
      coming.reset();
    }
    if (coming || a_task_ends()) return;
    auto serving = have_.serving();
    const Rollout* current = serving ? have_.find(*serving) : nullptr;
    if (current != nullptr && !current->zygote_gone &&
        (current->number == want_.rollout || have_.failed_rollout == want_.rollout)) {
      return;
    }
    bool tried_before = have_.failed_rollout == want_.rollout || current != nullptr;
    if (tried_before && (current == nullptr || current->zygote_gone)) {
      when_due(have_.starts, [this] { act(StartRollout{}); });
    } else {
      act(StartRollout{});
    }
  }

  // Two rollouts' tasks never run at once.
  bool a_task_ends() const {
    return std::any_of(have_.rollouts.begin(), have_.rollouts.end(),
                       [](const auto& entry) { return !entry.second.task.empty(); });
  }

  void bring_up(RolloutKey key, const Rollout& rollout) {
    if (rollout.number != want_.rollout) return;  // on its way out, see replace()
    if (rollout.phase != RolloutPhase::Preparing) keep_in_tune(key, rollout);
    if (rollout.phase != RolloutPhase::Switching) {
      // The zygote ends a task in time; should it hang itself, we do.
      Time limit = rollout.phase_began + (rollout.task.empty()
                                              ? rollout.spec.boot_timeout
                                              : rollout.spec.run_once_timeout + kTaskMargin);
      if (now_ >= limit) {
        act(FailRollout{key, model::FailureCause::BootTimeout});
        return;
      }
      wake_at(limit);
    }
    switch (rollout.phase) {
      case RolloutPhase::Preparing:  // until the zygote has loaded the app
        break;
      case RolloutPhase::Warming:
        if (rollout.workers.empty()) fork(key);
        if (rollout.ready() > 0) act(Advance{key, RolloutPhase::Switching});
        break;
      case RolloutPhase::Switching:
        if (rollout.ready() >= want_.spec.workers) {
          act(Advance{key, RolloutPhase::Serving});
          if (auto old = have_.serving()) act(RetireRollout{*old});
        } else {
          keep_in_number(key, rollout);
          for (const auto& [id, worker] : rollout.workers) watch_boot(key, rollout, id, worker);
        }
        break;
      case RolloutPhase::Serving:
      case RolloutPhase::Retiring:
        break;
    }
  }

  void keep(RolloutKey key, const Rollout& rollout) {
    if (rollout.zygote_gone) return;  // its orphans serve until a new zygote's workers do
    keep_in_tune(key, rollout);
    // While another rollout comes up, the old one loses no capacity and needs no more of it.
    if (!have_.coming() || rollout.staying() < want_.spec.workers) keep_in_number(key, rollout);
    for (const auto& [id, worker] : rollout.workers) watch_boot(key, rollout, id, worker);
  }

  // A worker that hangs in its import is killed; what that means for the rollout, its exit decides.
  void watch_boot(RolloutKey key, const Rollout& rollout, WorkerId id, const Worker& worker) {
    if (worker.state != WorkerState::Starting || worker.killed) return;
    Time limit = worker.asked + rollout.spec.boot_timeout;
    if (now_ >= limit) {
      act(KillWorker{key, id});
    } else {
      wake_at(limit);
    }
  }

  void keep_in_tune(RolloutKey key, const Rollout& rollout) {
    if (out_of_tune(want_, rollout)) act(TuneRollout{key});
  }

  void keep_in_number(RolloutKey key, const Rollout& rollout) {
    std::int32_t missing = want_.spec.workers - rollout.staying();
    if (missing > 0) {
      when_due(rollout.restarts, [&] {
        for (std::int32_t i = 0; i < missing; ++i) fork(key);
      });
    } else if (missing < 0) {
      drain(key, rollout, -missing);
    }
  }

  void fork(RolloutKey key) {
    WorkerId id = have_.free_worker_id(given_);
    given_.insert(id);
    act(ForkWorker{key, id});
  }

  // Those that do not serve yet go first, then the highest ids.
  void drain(RolloutKey key, const Rollout& rollout, std::int32_t surplus) {
    for (WorkerState state : {WorkerState::Starting, WorkerState::Ready}) {
      for (auto it = rollout.workers.rbegin(); it != rollout.workers.rend() && surplus > 0; ++it) {
        if (it->second.state != state || it->second.pid == 0) continue;
        act(DrainWorker{key, it->first});
        --surplus;
      }
    }
  }

  const Desired& want_;
  const AppState& have_;
  const Time now_;
  Plan plan_;
  std::set<WorkerId> given_;
};

}  // namespace

Plan plan(const Desired& want, const AppState& have, Time now) {
  return Planner(want, have, now).run();
}

}  // namespace appd::core
