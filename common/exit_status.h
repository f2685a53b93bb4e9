// How a process ended, in words.
#pragma once

#include <string>

namespace appd {

// "exited with status 3", "was killed by signal 9 (SIGKILL)" from waitpid(2)'s status.
std::string describe_exit(int wait_status);

}  // namespace appd
