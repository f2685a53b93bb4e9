// A world without processes: plans are carried out at once on the state, and zygotes do what the
// test says. The clock is turned by hand.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "supervisor/core/planner.h"
#include "supervisor/core/transitions.h"

namespace appd::core {

class World {
 public:
  World() {
    want.spec.directory = "/srv/web";
    want.spec.app = "m:app";
    want.spec.bind = {"127.0.0.1:8000"};
    want.spec.workers = 2;
    want.generation = 1;
    want.rollout = 1;
  }

  // Plans until nothing is left to do; what was decided is appended to `done`.
  Plan settle() {
    for (int round = 0; round < 20; ++round) {
      Plan next = plan(want, have, now.steady);
      if (next.actions.empty()) return next;
      for (const Action& action : next.actions) {
        if (std::holds_alternative<StartRollout>(action)) newest = ++last_key;
        begin(action, want, have, newest, now);
        if (auto* failed = std::get_if<FailRollout>(&action)) {
          fail(failed->rollout, failed->cause, failed->message, "", have, now);
        }
        done.push_back(action);
      }
    }
    ADD_FAILURE() << "the planner does not come to rest";
    return {};
  }

  Consequences tell(RolloutKey key, RolloutEvent event) { return apply(event, key, have, now); }

  void load(RolloutKey key) {
    tell(key, message::Hello{message::kProtocolVersion, 100, "", 0, "3.11.2", 0, {}, {}});
    tell(key, message::Loaded{true, "", 10, ""});
    settle();
  }

  // Every worker that was asked for is forked and ready, with the settings that were told last.
  void answer_forks(RolloutKey key) {
    std::vector<WorkerId> asked;
    for (const auto& [id, worker] : have.find(key)->workers) {
      if (worker.state == model::WorkerState::Starting) asked.push_back(id);
    }
    for (WorkerId id : asked) {
      tell(key, message::Forked{id, static_cast<std::int32_t>(1000 + id), false});
      tell(key, message::Ready{id, have.find(key)->settings.revision, ""});
    }
    settle();
  }

  RolloutKey start_and_serve() {
    settle();
    RolloutKey key = newest;
    load(key);
    answer_forks(key);
    answer_forks(key);
    return key;
  }

  void exit_draining(RolloutKey key) {
    std::vector<WorkerId> leaving;
    for (const auto& [id, worker] : have.find(key)->workers) {
      if (worker.state == model::WorkerState::Draining) leaving.push_back(id);
    }
    for (WorkerId id : leaving) {
      tell(key, message::Exited{id, static_cast<std::int32_t>(1000 + id), 0,
                                message::ExitCause::Asked, ""});
    }
    settle();
  }

  void pass(std::chrono::milliseconds time) { now.steady += time; }

  template <typename A>
  std::size_t count() const {
    std::size_t n = 0;
    for (const Action& action : done) n += std::holds_alternative<A>(action) ? 1 : 0;
    return n;
  }

  Desired want;
  AppState have;
  Now now{Time(std::chrono::hours(1)), {}};
  std::vector<Action> done;
  RolloutKey newest = 0;

 private:
  RolloutKey last_key = 0;
};

}  // namespace appd::core
