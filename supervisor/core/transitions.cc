// The events of a rollout, one function each.
#include "supervisor/core/transitions.h"

#include <cstring>

#include "common/exit_status.h"
#include "supervisor/model/text.h"

namespace appd::core {
namespace {

using model::FailureCause;
using model::WorkerState;
using std::chrono::duration_cast;
using std::chrono::milliseconds;

// Ready workers that die this often in a row while a rollout switches end it.
constexpr int kDeathsThatFail = 3;

bool unproven(const Rollout& rollout) { return rollout.phase < RolloutPhase::Serving; }

FailureCause cause_of(message::BootFailure failure) {
  switch (failure) {
    case message::BootFailure::Import:
      return FailureCause::ImportFailed;
    case message::BootFailure::NotFound:
      return FailureCause::AppNotFound;
    case message::BootFailure::Unhealthy:
      return FailureCause::ProbeFailed;
    case message::BootFailure::Ended:
      return FailureCause::WorkerDied;
  }
  return FailureCause::ImportFailed;
}

void set_phase(Rollout& rollout, RolloutPhase phase, Now now) {
  rollout.phase = phase;
  rollout.phase_began = now.steady;
}

// What an app or a command has written may be any bytes.
model::Failure failure(FailureCause cause, std::string_view message, std::string_view traceback,
                       const Rollout& rollout, Now now) {
  return {cause, model::utf8(message), model::utf8(traceback), rollout.number, now.wall};
}

// One event on one rollout.
class Transition {
 public:
  Transition(RolloutKey key, AppState& app, Rollout& rollout, Now now)
      : key_(key), app_(app), rollout_(rollout), now_(now) {}

  Consequences take() { return std::move(out_); }

  void operator()(const message::Hello& hello) {
    rollout_.connected = true;
    rollout_.python_version = hello.python_version;
  }

  void operator()(const message::Loaded& loaded) {
    rollout_.preloaded = loaded.preloaded;
    rollout_.preload_note = loaded.note;
    learn_class(loaded.worker_class);
    rollout_.task.clear();
    out_.ran_once = loaded.ran_once;
    if (!loaded.note.empty()) out_.notes.push_back("preload is off: " + loaded.note);
    if (rollout_.phase == RolloutPhase::Preparing) set_phase(rollout_, RolloutPhase::Warming, now_);
  }

  void operator()(const message::LoadFailed& failed) {
    lose(failed.not_found ? FailureCause::AppNotFound : FailureCause::ImportFailed, failed.summary,
         failed.traceback);
  }

  // Each task has its own time, and none of it is the import's.
  void operator()(const message::RunningOnce& running) {
    rollout_.task = running.command;
    if (rollout_.phase != RolloutPhase::Retiring) {
      set_phase(rollout_, RolloutPhase::Preparing, now_);
    }
    out_.notes.push_back("run_once " + std::to_string(running.number) + " of " +
                         std::to_string(running.count) + ": " + running.command);
  }

  void operator()(const message::RunOnceFailed& failed) {
    rollout_.task.clear();
    lose(FailureCause::RunOnceFailed, failed.summary, failed.output);
  }

  void operator()(const message::Forked& forked) {
    auto [entry, adopted] = rollout_.workers.try_emplace(forked.worker);
    if (adopted && rollout_.untold > 0) --rollout_.untold;
    Worker& worker = entry->second;
    milliseconds age(forked.age_ms);
    if (adopted) worker.asked = now_.steady - age;
    if (forked.draining) worker.state = WorkerState::Draining;
    worker.pid = forked.pid;
    worker.start_time = now_.wall - age;
    changed(forked.worker);
  }

  void operator()(const message::ForkFailed& failed) {
    (*this)(ForkRefused{failed.worker, std::strerror(failed.sys_errno)});
  }

  void operator()(const ForkRefused& refused) {
    rollout_.workers.erase(refused.worker);
    rollout_.restarts.died(now_.steady, std::nullopt);
    in_trouble(FailureCause::SpawnFailed, "fork a worker: " + refused.why, "");
  }

  void operator()(const message::Ready& ready) {
    Worker* worker = find(ready.worker);
    if (worker == nullptr) return;
    worker->settings_revision = ready.settings_revision;
    learn_class(ready.worker_class);
    if (worker->state != WorkerState::Starting) return;
    worker->state = WorkerState::Ready;
    milliseconds age(ready.age_ms);
    worker->ready = now_.steady - age;
    worker->ready_time = now_.wall - age;
    changed(ready.worker);
  }

  void operator()(const message::BootFailed& failed) {
    auto it = rollout_.workers.find(failed.worker);
    if (it != rollout_.workers.end()) it->second.boot_error = failed.summary;
    if (it != rollout_.workers.end() && it->second.pid == 0) {  // a command that cannot be run
      rollout_.workers.erase(it);
      rollout_.restarts.died(now_.steady, std::nullopt);
    }
    in_trouble(cause_of(failed.cause), failed.summary, failed.traceback);
  }

  void operator()(const message::Tuned& tuned) {
    if (Worker* worker = find(tuned.worker)) worker->settings_revision = tuned.settings_revision;
  }

  void operator()(const message::Exited& exited) {
    const Worker* worker = find(exited.worker);
    gone(exited.worker, certify(exited, worker, rollout_));
  }

  void operator()(const StacksTaken&) {}

  void operator()(const SpawnFailed& failed) {
    lose(FailureCause::SpawnFailed, failed.message, "");
    rollout_.zygote_gone = true;
  }

  void operator()(const ZygoteGone& zygote) {
    rollout_.zygote_gone = true;
    bool was_connected = std::exchange(rollout_.connected, false);
    // Those that were asked for and never came, never will.
    std::erase_if(rollout_.workers, [](const auto& entry) { return entry.second.pid == 0; });
    if (rollout_.phase == RolloutPhase::Serving) {
      out_.notes.push_back("the zygote of rollout " + std::to_string(rollout_.number) + " " +
                           zygote.how + "; its workers serve on until new ones do");
      app_.starts.died(now_.steady,
                       duration_cast<milliseconds>(now_.steady - rollout_.phase_began));
    } else if (unproven(rollout_)) {
      if (was_connected) {
        lose(FailureCause::WorkerDied,
             "the app's interpreter " + zygote.how + " while it loaded the app", zygote.output);
      } else {
        lose(FailureCause::InterpreterFailed,
             rollout_.spec.python + " (python) " + zygote.how +
                 " before it had loaded appd's worker; is it a CPython 3.11 or later?",
             zygote.output);
      }
    }
  }

  void operator()(const OrphanGone& orphan) {
    if (const Worker* worker = find(orphan.worker)) {
      gone(orphan.worker, certify_orphan(orphan.worker, *worker, rollout_, now_.wall));
    }
  }

 private:
  Worker* find(WorkerId id) {
    auto it = rollout_.workers.find(id);
    return it == rollout_.workers.end() ? nullptr : &it->second;
  }

  void learn_class(const std::string& worker_class) {
    if (!worker_class.empty()) rollout_.worker_class = worker_class;
  }

  void changed(WorkerId id) { out_.changed.push_back(id); }

  void lose(FailureCause cause, std::string_view message, std::string_view traceback) {
    if (rollout_.phase == RolloutPhase::Retiring) return;
    out_.rollout_failed = fail(key_, cause, message, traceback, app_, now_);
  }

  // Fatal for a rollout that has not proved itself, a matter of patience for one that serves.
  void in_trouble(FailureCause cause, std::string_view message, std::string_view traceback) {
    if (unproven(rollout_)) {
      lose(cause, message, traceback);
    } else if (rollout_.phase == RolloutPhase::Serving) {
      out_.trouble = failure(cause, message, traceback, rollout_, now_);
      app_.failure = out_.trouble;
    }
  }

  // One that we did not know ended while no appd was there.
  void gone(WorkerId id, model::Death death) {
    Worker worker;
    auto it = rollout_.workers.find(id);
    bool known = it != rollout_.workers.end();
    if (known) {
      worker = std::move(it->second);
      rollout_.workers.erase(it);
    }
    worker.pid = death.pid;
    bool expected = worker.state == WorkerState::Draining ||
                    rollout_.phase == RolloutPhase::Retiring ||
                    (!known && (death.cause == model::DeathCause::Asked ||
                                death.cause == model::DeathCause::GracefulTimeout));
    if (!expected) ++app_.unexpected_exits;
    if (expected && !worker.recycling.empty()) ++app_.recycled_workers;
    if (!expected && known) miss(worker, death);
    if (!expected && !known && rollout_.baking()) lose_canary(death);
    worker.state = WorkerState::Exited;
    out_.exits.push_back({id, std::move(worker), std::move(death), expected});
  }

  void lose_canary(const model::Death& death) {
    in_trouble(FailureCause::WorkerDied,
               "worker " + std::to_string(death.worker) + ", a canary, " + death.reason, "");
  }

  void miss(const Worker& worker, const model::Death& death) {
    std::optional<milliseconds> ready_for;
    if (worker.ready) ready_for = duration_cast<milliseconds>(now_.steady - *worker.ready);
    rollout_.restarts.died(now_.steady, ready_for, worker.asked);
    if (!worker.boot_error.empty()) return;  // BootFailed has said more
    if (worker.ready && rollout_.baking()) return lose_canary(death);
    if (!worker.ready || rollout_.restarts.early_deaths() >= kDeathsThatFail) {
      in_trouble(worker.killed ? FailureCause::BootTimeout : FailureCause::WorkerDied,
                 "worker " + std::to_string(death.worker) + " " + death.reason, "");
    }
  }

  RolloutKey key_;
  AppState& app_;
  Rollout& rollout_;
  Now now_;
  Consequences out_;
};

}  // namespace

void begin(const Action& action, const Desired& want, AppState& app, RolloutKey new_key, Now now) {
  std::visit(
      Overloaded{
          [&](const OpenListeners&) { app.listening = true; },
          [&](const CloseListeners&) { app.listening = false; },
          [&](const StartRollout&) {
            Rollout& rollout = app.rollouts[new_key];
            rollout.number = want.rollout;
            rollout.spec = want.spec;
            rollout.settings = model::live_settings(want.spec, want.generation);
            if (!want.ran_once) rollout.run_once = want.spec.run_once;
            rollout.phase_began = now.steady;
          },
          [&](const ForkWorker& a) { app.find(a.rollout)->workers[a.worker].asked = now.steady; },
          [&](const DrainWorker& a) {
            app.find(a.rollout)->workers.at(a.worker).state = WorkerState::Draining;
          },
          [&](const RecycleWorker& a) {
            app.find(a.rollout)->workers.at(a.worker).recycling = a.reason;
          },
          [&](const KillWorker& a) { app.find(a.rollout)->workers.at(a.worker).killed = true; },
          [&](const TuneRollout& a) {
            Rollout& rollout = *app.find(a.rollout);
            rollout.settings = settings_for(want, rollout);
          },
          [&](const Advance& a) {
            Rollout& rollout = *app.find(a.rollout);
            set_phase(rollout, a.phase, now);
            if (a.phase != RolloutPhase::Serving) return;
            app.starts.reset();
            app.failure.reset();
            app.failed_rollout = 0;
          },
          [&](const BeginBake& a) {
            app.find(a.rollout)->bake.emplace(Rollout::Bake{now.steady, {}});
          },
          [&](const AbandonRollout& a) {
            set_phase(*app.find(a.rollout), RolloutPhase::Retiring, now);
          },
          [&](const RetireRollout& a) {
            Rollout& rollout = *app.find(a.rollout);
            set_phase(rollout, RolloutPhase::Retiring, now);
            rollout.told_to_go = true;
            for (auto& [id, worker] : rollout.workers) worker.state = WorkerState::Draining;
          },
          [&](const KillRollout& a) {
            Rollout& rollout = *app.find(a.rollout);
            if (rollout.phase != RolloutPhase::Retiring) {
              set_phase(rollout, RolloutPhase::Retiring, now);
            }
            rollout.killed = true;
          },
          [&](const FailRollout&) {},
      },
      action);
}

Consequences apply(const RolloutEvent& event, RolloutKey key, AppState& app, Now now) {
  Rollout* rollout = app.find(key);
  if (rollout == nullptr) return {};
  Transition transition(key, app, *rollout, now);
  std::visit(transition, event);
  if (rollout->zygote_gone && rollout->workers.empty()) app.rollouts.erase(key);
  return transition.take();
}

model::Failure fail(RolloutKey key, model::FailureCause cause, std::string_view message,
                    std::string_view traceback, AppState& app, Now now) {
  Rollout& rollout = *app.find(key);
  set_phase(rollout, RolloutPhase::Retiring, now);
  app.failed_rollout = rollout.number;
  app.failure = failure(cause, message, traceback, rollout, now);
  app.starts.died(now.steady, std::nullopt);
  return *app.failure;
}

}  // namespace appd::core
