// Stacks: what a worker's Python threads, tasks and greenlets are at, written by itself into memory
// that the zygote reads.
//
// A signal asks for them. Its handler is faulthandler's, which needs no lock of the interpreter's
// and interrupts C code too, so threads are told of whatever they do. Tasks and greenlets can only
// be looked at under that lock: a thread that sleeps otherwise takes it if it gets it, and writes
// the end.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>

#include "common/result.h"
#include "common/unique_fd.h"

namespace appd::zygote {

// The zygote's end of one worker's stacks. Owns the memory.
class StacksFile {
 public:
  static constexpr std::size_t kMost = 48 * 1024;
  // What a worker writes when it has written all.
  static constexpr std::string_view kEnd = "-- end of stacks --\n";

  // Which signal asks a worker for them.
  static int request_signal();
  // Ignores the signal in this process and all that it will fork until they offer stacks.
  static void ignore_requests();

  static Result<StacksFile> create();
  StacksFile() = default;
  int fd() const { return memory_.get(); }
  // Asks for them anew. The pid must be the worker's still.
  void ask(pid_t pid) const;
  // They are all there.
  bool complete() const;
  // What is there now, at most kMost bytes, and if that is not all, why.
  std::string read(pid_t pid) const;

 private:
  explicit StacksFile(UniqueFd memory) : memory_(std::move(memory)) {}
  UniqueFd memory_;
};

}  // namespace appd::zygote
