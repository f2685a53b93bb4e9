// Spawn: starts a zygote in the app's own interpreter. exec only: a process with gRPC's threads in
// it must not fork and go on.
#pragma once

#include <string>

#include "common/result.h"
#include "supervisor/model/app_spec.h"
#include "supervisor/runtime/pid_ref.h"

namespace appd::runtime {

struct SpawnRequest {
  std::string app;
  std::int64_t rollout = 0;
  const model::AppSpec& spec;
  std::string bootstrap;  // path of appd_zygote.py; appd-launch lies beside it
  std::string token;      // by which all that it starts is known again (orphans.h)
  std::string cgroup;     // the file that it joins its cgroup by; empty: none
  int control;            // the zygote's listening socket, becomes descriptor 3
  int log;                // becomes descriptors 1 and 2
};

// As the app's user and within its limits, in its own session, in the app's directory, with nothing
// of our environment and no descriptor but 0 to 3.
Result<PidRef> spawn_zygote(const SpawnRequest& request);

}  // namespace appd::runtime
