// Worker: one serving process from its fork to its exit: engine, gateway and crew put together.
#pragma once

#include <cstdint>
#include <vector>

#include "common/messages.h"
#include "common/scoreboard.h"
#include "worker/engine/handover.h"
#include "worker/gateway/hooks.h"
#include "worker/zygote/stacks.h"

namespace appd::zygote {

// What a worker is born with.
struct WorkerSetup {
  std::uint32_t worker = 0;
  message::Load load;
  std::vector<UniqueFd> listeners;
  engine::Handover handover;  // shared with its siblings
  message::Channel channel;   // to the zygote; not open when there is none
  UniqueFd log_files;         // from the zygote: new log files (log_files.h)
  ScoreboardSlot* slot = nullptr;
  StacksFile stacks;   // where to write them; none when there is no zygote
  gateway::PyRef app;  // empty: the worker imports it itself
};

// Serves until it is drained; the exit status. In the main thread, under the interpreter's lock.
// Its threads may live on until the process ends, so what they use is never destroyed.
int run_worker(WorkerSetup setup, const gateway::Hooks& hooks);

}  // namespace appd::zygote
