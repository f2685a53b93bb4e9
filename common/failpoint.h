// Failpoints: named places where a test has the process die, stand still or fail.
//
// They are armed by the environment variable APPD_FAILPOINTS, and by nothing else:
//
//   APPD_FAILPOINTS=store.committed=kill:2,rollout.switching=pause,store.commit=error:ENOSPC
//
//   kill           SIGKILL to this process; kill:N when it comes there for the N-th time
//   pause          SIGSTOP to this process, until somebody sends SIGCONT; pause:N likewise
//   error:ENOSPC   the place fails with this errno, each time; error:ENOSPC:N the N-th time only
//
// The names are told in docs/testing.md. A place that is not armed costs one branch.
#pragma once

#include "common/result.h"

namespace appd {
namespace failpoints {

extern const bool armed;
int hit(const char* name);
// Whether APPD_FAILPOINTS makes sense. A process that cannot do what it says should not begin.
Result<void> check();

}  // namespace failpoints

// The errno that this place is to fail with; 0: go on. A place that cannot fail ignores it.
inline int failpoint(const char* name) {
  if (failpoints::armed) [[unlikely]]
    return failpoints::hit(name);
  return 0;
}

}  // namespace appd
