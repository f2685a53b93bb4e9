// stat(2) and access(2) in words.
#include "supervisor/runtime/host_checks.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "supervisor/runtime/identity.h"

namespace appd::runtime {

std::vector<model::Violation> check_host(const model::AppSpec& spec) {
  std::vector<model::Violation> violations;
  struct stat status {};
  if (::stat(spec.directory.c_str(), &status) < 0) {
    violations.push_back({"spec.directory", spec.directory + ": " + std::strerror(errno) +
                                                "; give the directory that the app is in"});
  } else if (!S_ISDIR(status.st_mode)) {
    violations.push_back({"spec.directory", spec.directory + " is not a directory"});
  }
  if (::stat(spec.python.c_str(), &status) < 0) {
    violations.push_back({"spec.python", spec.python + ": " + std::strerror(errno) +
                                             "; give the path of a Python 3.11 or later"});
  } else if (!S_ISREG(status.st_mode) || ::access(spec.python.c_str(), X_OK) != 0) {
    violations.push_back({"spec.python", spec.python + " is not an executable file"});
  }
  if (auto identity = identity_of(spec.user, spec.group); !identity) {
    violations.push_back({"spec." + identity.error().reason, identity.error().message});
  }
  return violations;
}

}  // namespace appd::runtime
