// The words of a wait status.
#include "common/exit_status.h"

#include <sys/wait.h>

#include <cstring>

namespace appd {

std::string describe_exit(int wait_status) {
  if (WIFEXITED(wait_status)) {
    return "exited with status " + std::to_string(WEXITSTATUS(wait_status));
  }
  int signal = WTERMSIG(wait_status);
  const char* name = ::sigabbrev_np(signal);
  return "was killed by signal " + std::to_string(signal) +
         (name != nullptr ? " (SIG" + std::string(name) + ")" : "");
}

}  // namespace appd
