// Orphans: the processes of a zygote's session, for when the zygote cannot tell of them any more.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "common/scoreboard.h"
#include "supervisor/core/state.h"
#include "supervisor/runtime/control_socket.h"
#include "supervisor/runtime/pid_ref.h"

namespace appd::runtime {

struct SessionMember {
  PidRef process;
  std::uint64_t start_time = 0;   // clock ticks since boot
  core::WorkerId worker = 0;      // 0: what a worker has started, or
  bool newborn = false;           // a fork that has not even got its name
  std::chrono::milliseconds age;  // since it was forked
};

// All that still run, but for the zygote itself. Each pidfd is opened before its process is
// checked: session, start time, and that the session is the zygote's own, which the token in the
// environment of its processes proves, or a scoreboard in their hands. See docs/decisions/008.
std::vector<SessionMember> find_session(const Owner& owner, const std::string& token);

// Ends a newborn, which has no client. False: meanwhile it has come so far that it may have.
bool end_newborn(const SessionMember& newborn);

// What a worker holds: its rollout's scoreboard, and the sockets on which it listens. Empty where
// the system does not let us look (ptrace(2)).
Scoreboard borrow_scoreboard(const PidRef& worker);
std::vector<UniqueFd> borrow_listeners(const PidRef& worker);

}  // namespace appd::runtime
