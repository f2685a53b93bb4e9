// RunOnce: the tasks of a rollout (migrations), one after another, each in a process of its own.
//
// The zygote runs them because it outlives appd: an appd that comes in the middle is told how far
// they are, and none is begun again.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/messages.h"
#include "worker/net/clock.h"
#include "worker/net/log_pipe.h"
#include "worker/zygote/command.h"

namespace appd::zygote {

// The zygote's only thread.
class RunOnce {
 public:
  explicit RunOnce(const Launcher& launcher) : launcher_(launcher) {}

  // With at least one command.
  void begin(const message::Load& load);
  bool running() const { return pid_ > 0; }
  bool succeeded() const { return done_ && !failure_; }
  // RunningOnce or RunOnceFailed, when it is news; and again for a new appd.
  std::optional<message::Message> news();
  std::optional<message::Message> present() const;

  int output() const { return output_ ? output_->fd() : -1; }
  void read_output() { output_->read(); }
  // When on_time() has something to do.
  net::TimePoint limit() const { return limit_; }
  void on_time();
  pid_t pid() const { return pid_; }
  void ended(int wait_status);
  // SIGTERM now, SIGKILL after `grace` (0: never); no further task.
  void cancel(std::chrono::milliseconds grace);

 private:
  void start_next();
  void fail(const std::string& how);
  const std::string& command() const { return commands_[next_ - 1]; }

  const Launcher& launcher_;
  std::vector<std::string> commands_;
  std::string directory_;
  std::string log_writer_;
  std::chrono::milliseconds timeout_{0};
  std::size_t next_ = 0;
  pid_t pid_ = 0;
  std::optional<net::LogPipe> output_;  // of the task in hand, or the last one
  net::TimePoint limit_ = net::kNever;
  bool late_ = false;  // its time is over: it was told to go
  bool cancelled_ = false;
  bool done_ = false;
  bool news_ = false;
  std::optional<message::RunOnceFailed> failure_;
};

}  // namespace appd::zygote
