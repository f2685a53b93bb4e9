// The rules of the pool, from the top: stop, listen, replace, keep in number, keep in tune, retire.
#include "supervisor/core/planner.h"

#include <algorithm>
#include <set>
#include <string>
#include <utility>

#include "supervisor/core/recycling.h"

namespace appd::core {
namespace {

using model::WorkerState;

// "2 s", "300 ms"
std::string in_seconds(std::chrono::milliseconds time) {
  const std::int64_t ms = time.count();
  return ms % 1000 == 0 ? std::to_string(ms / 1000) + " s" : std::to_string(ms) + " ms";
}

// Why a rollout is given up whose time is over.
std::string overdue(const Rollout& rollout) {
  if (!rollout.task.empty()) return "run_once \"" + rollout.task + "\" did not end in time";
  return "not ready within boot_timeout (" + in_seconds(rollout.spec.boot_timeout) + ")";
}

// How often a canary is looked at.
std::chrono::milliseconds look_interval(std::chrono::milliseconds bake) {
  return std::clamp(bake / 20, std::chrono::milliseconds(100), std::chrono::milliseconds(1000));
}

class Planner {
 public:
  Planner(const Desired& want, const AppState& have, Time now)
      : want_(want), have_(have), now_(now) {}

  Plan run() {
    for (const auto& [key, rollout] : have_.rollouts) let_go(key, rollout);
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
  void act(Action action) { plan_.actions.push_back(std::move(action)); }

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

  std::int32_t wanted() const { return want_.spec.workers; }

  const Rollout* serving() const {
    auto key = have_.serving();
    return key ? have_.find(*key) : nullptr;
  }

  void stop() {
    for (const auto& [key, rollout] : have_.rollouts) {
      if (rollout.phase == RolloutPhase::Retiring) continue;
      // What has not served yet has nothing to drain, but a task is given the time to end well.
      if (rollout.phase == RolloutPhase::Preparing && rollout.task.empty()) {
        act(KillRollout{key});
      } else {
        act(RetireRollout{key});
      }
    }
    if (have_.rollouts.empty() && have_.listening) act(CloseListeners{});
  }

  // Of what is on its way out, a rollout without workers is killed: one that is about to be ready
  // may have a client before we know. Others drain, but those that were taken back half-way only as
  // far as the pool can spare their workers.
  void let_go(RolloutKey key, const Rollout& rollout) {
    if (rollout.phase != RolloutPhase::Retiring || rollout.killed) return;
    if (rollout.told_to_go) {
      std::chrono::milliseconds grace = graceful_timeout_of(rollout);
      if (grace.count() == 0) return;  // no limit
      Time limit = rollout.phase_began + grace + kRetireMargin;
      if (now_ < limit) return wake_at(limit);
      act(KillRollout{key});
    } else if (rollout.workers.empty() && rollout.untold == 0) {
      act(KillRollout{key});
    } else if (std::int32_t spare = spare_of(rollout); spare >= rollout.ready()) {
      act(RetireRollout{key});
    } else {
      drain(key, rollout, rollout.staying() - rollout.ready() + spare);
    }
  }

  // How many of its ready workers may go so that, with those of the serving one, as many as wanted
  // stay.
  std::int32_t spare_of(const Rollout& rollout) const {
    const Rollout* others = want_.running() ? serving() : nullptr;
    if (others == nullptr) return rollout.ready();
    return std::max(others->ready() + rollout.ready() - wanted(), 0);
  }

  // Starts the wanted rollout unless it is there, on its way, or has failed while another serves.
  void replace() {
    auto coming = have_.coming();
    if (coming && have_.find(*coming)->number != want_.rollout) {
      act(dismissal(*coming, *have_.find(*coming)));
      coming.reset();
    }
    if (coming || a_task_ends()) return;
    const Rollout* current = serving();
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
    if (rollout.phase != RolloutPhase::Switching && !rollout.baking()) {
      // The zygote ends a task in time; should it hang itself, we do.
      Time limit = rollout.phase_began + (rollout.task.empty()
                                              ? rollout.spec.boot_timeout
                                              : rollout.spec.run_once_timeout + kTaskMargin);
      if (now_ >= limit) {
        act(FailRollout{key, model::FailureCause::BootTimeout, overdue(rollout)});
        return;
      }
      wake_at(limit);
    }
    switch (rollout.phase) {
      case RolloutPhase::Preparing:  // until the zygote has loaded the app
        break;
      case RolloutPhase::Warming:
        warm(key, rollout);
        break;
      case RolloutPhase::Switching:
        if (rollout.ready() >= wanted()) {
          act(Advance{key, RolloutPhase::Serving});
          if (auto old = have_.serving()) act(RetireRollout{*old});
        } else {
          take_over(key, rollout);
          for (const auto& [id, worker] : rollout.workers) watch_boot(key, rollout, id, worker);
        }
        break;
      case RolloutPhase::Serving:
      case RolloutPhase::Retiring:
        break;
    }
  }

  // A canary is compared with another rollout: not when there is none, nor with its own code.
  bool has_canary(const Rollout& rollout) const {
    const Rollout* old = serving();
    return want_.spec.canary > 0 && old != nullptr && old->number != rollout.number;
  }

  void warm(RolloutKey key, const Rollout& rollout) {
    bool canary = has_canary(rollout);
    std::int32_t first = canary ? std::min(want_.spec.canary, wanted()) : 1;
    fork_when_due(key, rollout, first - rollout.staying());
    if (rollout.ready() < first) return;
    if (!canary) {
      act(Advance{key, RolloutPhase::Switching});
    } else if (!rollout.bake) {
      act(BeginBake{key});
    } else {
      bake(key, *rollout.bake);
    }
  }

  void bake(RolloutKey key, const Rollout::Bake& bake) {
    Time end = bake.began + want_.spec.bake;
    CanaryJudgement judgement = judge(want_.spec, bake.figures, now_ >= end);
    if (judgement.verdict == CanaryVerdict::Worse) {
      act(FailRollout{key, model::FailureCause::CanaryFailed, judgement.text});
    } else if (now_ >= end) {
      act(Advance{key, RolloutPhase::Switching});
    } else {
      wake_at(std::min(end, now_ + look_interval(want_.spec.bake)));
    }
  }

  // All at once the old ones stay until the last new one is ready. In steps, some new ones come up,
  // and when they are ready as many old ones go; the next come up when those have gone.
  void take_over(RolloutKey key, const Rollout& rollout) {
    auto old = have_.serving();
    std::int32_t surge = old ? surge_of(want_.spec, rollout.surge) : kAnySurge;
    std::int32_t missing = wanted() - rollout.staying();
    if (missing < 0) drain(key, rollout, -missing);
    fork_when_due(key, rollout, std::min(missing, room(surge)));
    if (surge >= wanted()) return;
    const Rollout& leaving = *have_.find(*old);
    drain(*old, leaving, leaving.ready() + rollout.ready() - wanted());
  }

  // How many workers may be forked now.
  std::int32_t room(std::int32_t surge) const {
    if (surge >= wanted()) return kAnySurge;
    auto given = static_cast<std::int32_t>(given_.size());
    return std::max(wanted() + surge - have_.workers() - given, 0);
  }

  void keep(RolloutKey key, const Rollout& rollout) {
    if (rollout.zygote_gone) return;  // its orphans serve until a new zygote's workers do
    keep_in_tune(key, rollout);
    // A rollout that comes replaces them all.
    if (!have_.coming()) recycle(key, rollout);
    keep_in_number(key, rollout);
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

  // Marks those that are due, a share of the pool at most, and lets go as many of the marked as
  // have somebody ready in their place.
  void recycle(RolloutKey key, const Rollout& rollout) {
    std::int32_t marked = rollout.recycling();
    std::int32_t spare = rollout.ready() - want_.spec.workers;
    for (const auto& [id, worker] : rollout.workers) {
      if (worker.state != WorkerState::Ready) continue;
      if (!worker.recycling.empty()) {
        if (spare-- > 0) act(DrainWorker{key, id});
        continue;
      }
      std::string reason = due_for(want_.spec, id, worker, now_);
      if (!reason.empty() && marked < share_of(want_.spec.workers)) {
        act(RecycleWorker{key, id, std::move(reason)});
        ++marked;
      } else if (auto due = due_at(want_.spec, id, worker); due && reason.empty()) {
        wake_at(*due);
      }
    }
    if (needs_figures(want_.spec)) wake_at(now_ + kLookAtFigures);
  }

  void keep_in_number(RolloutKey key, const Rollout& rollout) {
    std::int32_t missing = wanted() + rollout.recycling() - rollout.staying();
    std::int32_t surge = kAnySurge;
    if (auto coming = have_.coming()) {
      // While another rollout comes up, this one loses no capacity that the other does not have,
      // and needs no more of it.
      const Rollout& next = *have_.find(*coming);
      if (next.phase == RolloutPhase::Switching) {
        missing -= next.ready();
        surge = surge_of(want_.spec, next.surge);
      }
      missing = std::max(missing, 0);
    }
    for (const auto& [other_key, other] : have_.rollouts) {
      // Taken back half-way: what it gives back is taken over in steps too.
      bool carries = other.phase == RolloutPhase::Retiring && !other.told_to_go && !other.killed;
      if (carries) surge = std::min(surge, surge_of(want_.spec, other.surge));
    }
    if (missing < 0) drain(key, rollout, -missing);
    fork_when_due(key, rollout, std::min(missing, room(surge)));
  }

  // How many workers an adopted rollout has, and with which ids, is known when it has told of all.
  bool has_untold() const {
    return std::any_of(have_.rollouts.begin(), have_.rollouts.end(), [](const auto& entry) {
      return entry.second.untold > 0 && !entry.second.zygote_gone;
    });
  }

  void fork_when_due(RolloutKey key, const Rollout& rollout, std::int32_t number) {
    if (number <= 0 || has_untold()) return;
    when_due(rollout.restarts, [&] {
      for (std::int32_t i = 0; i < number; ++i) fork(key);
    });
  }

  void fork(RolloutKey key) {
    WorkerId id = have_.free_worker_id(given_);
    given_.insert(id);
    act(ForkWorker{key, id});
  }

  // Those that do not serve yet go first, then the highest ids; who is being replaced has its turn
  // in recycle().
  void drain(RolloutKey key, const Rollout& rollout, std::int32_t surplus) {
    for (WorkerState state : {WorkerState::Starting, WorkerState::Ready}) {
      for (auto it = rollout.workers.rbegin(); it != rollout.workers.rend() && surplus > 0; ++it) {
        if (it->second.state != state || !it->second.recycling.empty()) continue;
        --surplus;
        // What is asked for and not there yet cannot be told; it is when it has come.
        if (it->second.pid != 0) act(DrainWorker{key, it->first});
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

Action dismissal(RolloutKey key, const Rollout& rollout) {
  if (rollout.phase != RolloutPhase::Preparing) return AbandonRollout{key};
  if (rollout.task.empty()) return KillRollout{key};
  return RetireRollout{key};
}

Plan plan(const Desired& want, const AppState& have, Time now) {
  return Planner(want, have, now).run();
}

}  // namespace appd::core
