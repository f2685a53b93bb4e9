// Child: one living worker as its zygote knows it, and what becomes of it.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "common/messages.h"
#include "common/scoreboard.h"
#include "common/unique_fd.h"
#include "worker/net/clock.h"
#include "worker/net/log_output.h"
#include "worker/net/log_pipe.h"
#include "worker/zygote/stacks.h"

namespace appd::zygote {

// The status of a worker that was told to go and has ended at graceful_timeout, whatever was
// unfinished.
inline constexpr int kExitCut = 4;

struct ReleaseBatch {
  void operator()(net::AccessBatch* batch) const { net::release_access_batch(batch); }
};
using SharedBatch = std::unique_ptr<net::AccessBatch, ReleaseBatch>;

// Owns the link to the worker. The pid is its own until it is reaped.
struct Child {
  std::uint32_t worker = 0;
  pid_t pid = 0;
  message::Channel channel;
  net::TimePoint forked;
  net::TimePoint ready = net::kNever;  // kNever: not yet
  std::int64_t settings_revision = 0;
  message::ExitCause cause = message::ExitCause::Own;
  std::string detail;
  // Of commands, which lead a process group of their own and are ready when they have stayed up.
  bool command = false;
  net::TimePoint ready_at = net::kNever;
  std::optional<net::LogPipe> output;
  // Of workers.
  UniqueFd log_files;  // our end of its log_files
  SharedBatch batch;

  net::TimePoint kill_at = net::kNever;     // while it drains
  net::TimePoint stopped_by = net::kNever;  // stopped by a signal, it may stay so until then
  StacksFile stacks;
  net::TimePoint stacks_by = net::kNever;  // they have been asked for, and may come until then
  bool stacks_for_appd = false;
  bool kill_after_stacks = false;
  std::string last_stacks;

  void signal(int number) const;
  // Readable when it has something to say; -1: it never will.
  int fd() const;
  // When something is due that no message tells of; while stacks are awaited, soon.
  net::TimePoint next_look(net::TimePoint now) const;
  // Tells it to go, once; and by when, if the app's settings have a limit for that.
  void drain(const message::Settings& settings, net::TimePoint now);
  // Draining for longer than it may.
  void kill_if_late(net::TimePoint now);
  // It has been stopped, or goes on.
  void note_job_control(bool stopped, std::chrono::milliseconds limit, net::TimePoint now);
  // Kills it as soon as it has said what it is at, or has not done so in time.
  void condemn(message::ExitCause why, std::string what, net::TimePoint now);
  // Asks for its stacks, unless that is under way.
  void take_stacks(net::TimePoint now);
  // They have come, or have not come in time: last_stacks.
  bool stacks_taken(net::TimePoint now);

  message::Forked forked_message(net::TimePoint now) const;
  message::Ready ready_message(net::TimePoint now, const std::string& worker_class) const;
  // Killed by SIGKILL, and not by us.
  bool killed_by_others(int wait_status) const;
  // Once it has been reaped: what its status adds to the cause. `oom` is what says that the kernel
  // has killed it for want of memory; empty: nothing does.
  void settle_cause(int wait_status, std::string oom);
  message::Exited exited_message(net::TimePoint now, int wait_status) const;

  // Something is in hand for longer than `limit`, and whoever should have seen that, the worker's
  // own monitor or its loop, has shown no life for kSilence.
  static bool silent(const ScoreboardSlot& slot, std::chrono::milliseconds limit,
                     net::TimePoint now);
};

// What a worker's serving thread or loop must not be held up for; 0: there is no limit.
std::chrono::milliseconds stuck_limit(const message::Settings& settings);

}  // namespace appd::zygote
