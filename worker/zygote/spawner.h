// Spawner: how a zygote gets a worker: it forks itself, or starts the pool's command.
#pragma once

#include <cstdint>
#include <optional>
#include <utility>

#include "worker/gateway/hooks.h"
#include "worker/zygote/appd_link.h"
#include "worker/zygote/children.h"
#include "worker/zygote/command.h"
#include "worker/zygote/rollout.h"
#include "worker/zygote/worker.h"

namespace appd::zygote {

// Borrows the zygote's parts. Its only thread, under the interpreter's lock.
class Spawner {
 public:
  Spawner(Rollout& rollout, Children& children, AppdLink& link, const Launcher& launcher,
          const gateway::Hooks& hooks)
      : rollout_(rollout), children_(children), link_(link), launcher_(launcher), hooks_(hooks) {}

  // A new child, or appd is told why there is none. In the fork: what it is to be, of which `app`
  // is the code if it is loaded; nothing of the zygote is used there any more.
  std::optional<WorkerSetup> spawn(std::uint32_t worker, gateway::PyRef& app);

 private:
  // What a worker and its zygote have in common; of pairs the first is the zygote's.
  struct Ties {
    std::pair<message::Channel, message::Channel> channel;
    std::pair<UniqueFd, UniqueFd> log_files;
    StacksFile stacks;
    SharedBatch batch;
  };
  static Result<Ties> make_ties();
  std::optional<WorkerSetup> fork(std::uint32_t worker, gateway::PyRef& app);
  WorkerSetup become_worker(std::uint32_t worker, Ties ties, gateway::PyRef app);
  void start_command(std::uint32_t worker);

  Rollout& rollout_;
  Children& children_;
  AppdLink& link_;
  const Launcher& launcher_;
  const gateway::Hooks& hooks_;
  bool frozen_ = false;
};

}  // namespace appd::zygote
