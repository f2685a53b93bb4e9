// Transitions: how the state of an app follows from what was begun and from what happened. Pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "supervisor/core/autopsy.h"
#include "supervisor/core/planner.h"

namespace appd::core {

struct Now {
  Time steady;
  model::WallTime wall;
};

// What a zygote or the system reported of a rollout, in the words of the zygote's own messages.
struct SpawnFailed {
  std::string message;
};
// In place of ForkFailed when more is known of it than an errno.
struct ForkRefused {
  WorkerId worker = 0;
  std::string why;
};
// The zygote's process is gone. `output`: the last lines that it wrote.
struct ZygoteGone {
  std::string how;  // "exited with status 3", "was killed by signal 11 (SIGSEGV)"
  std::string output;
};
// The zygote's answer to TakeStacks; changes nothing.
using StacksTaken = message::Stacks;
// A worker without a zygote is gone; nobody knows its status.
struct OrphanGone {
  WorkerId worker;
};
using RolloutEvent =
    std::variant<message::Hello, message::Loaded, message::LoadFailed, message::Forked,
                 message::ForkFailed, message::Ready, message::BootFailed, message::Tuned,
                 message::Exited, message::RunningOnce, message::RunOnceFailed, StacksTaken,
                 SpawnFailed, ForkRefused, ZygoteGone, OrphanGone>;

// What the caller has to publish, log or conclude from an event.
struct Consequences {
  std::vector<WorkerId> changed;  // workers whose state changed and that are still there
  struct Exit {
    WorkerId id = 0;
    Worker worker;
    model::Death death;  // but for its figures, its number and what stands in the log
    bool expected = false;
  };
  std::vector<Exit> exits;
  // The rollout has failed and is on its way out.
  std::optional<model::Failure> rollout_failed;
  // The rollout serves, but workers cannot be had as asked: changes that wait for them fail.
  std::optional<model::Failure> trouble;
  std::vector<std::string> notes;
  // The rollout's run_once tasks are done, and are not to be run again.
  bool ran_once = false;
};

// Marks an action as begun. `new_key` is used by StartRollout.
void begin(const Action& action, const Desired& want, AppState& app, RolloutKey new_key, Now now);

Consequences apply(const RolloutEvent& event, RolloutKey key, AppState& app, Now now);

// The rollout did not make it: on its way out, remembered, and not tried again before its time.
model::Failure fail(RolloutKey key, model::FailureCause cause, std::string_view message,
                    std::string_view traceback, AppState& app, Now now);

}  // namespace appd::core
