// StateLock: one appd a state directory.
#pragma once

#include <string>

#include "common/result.h"
#include "common/unique_fd.h"

namespace appd {

// Creates a directory of mode 0700 with its parents. An existing one is left as it is, but must be
// ours and a directory.
Result<void> make_directory(const std::string& path);

// Held for the life of the process; the kernel lets go of it, however the process ends.
class StateLock {
 public:
  // The error (reason STATE_LOCKED) says who holds it. `held`: the lock that the appd before us has
  // left, or nothing.
  static Result<StateLock> acquire(const std::string& state_dir, const std::string& listen,
                                   UniqueFd held);
  int fd() const { return file_.get(); }

 private:
  explicit StateLock(UniqueFd file) : file_(std::move(file)) {}
  UniqueFd file_;
};

}  // namespace appd
