// Child: one living worker as its zygote knows it.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
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
  net::AccessBatch* batch = nullptr;

  Child() = default;
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() { net::release_access_batch(batch); }

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
  // Asks for its stacks, unless that is under way.
  void take_stacks(net::TimePoint now);
  // They have come, or have not come in time: last_stacks.
  bool stacks_taken(net::TimePoint now);

  message::Forked forked_message(net::TimePoint now) const;
  message::Ready ready_message(net::TimePoint now, const std::string& worker_class) const;
  // Once it has been reaped.
  message::Exited exited_message(net::TimePoint now, int wait_status) const;

  // Something is in hand for longer than `limit`, and whoever should have seen that, the worker's
  // own monitor or its loop, has shown no life for kSilence.
  static bool silent(const ScoreboardSlot& slot, std::chrono::milliseconds limit,
                     net::TimePoint now);
};

}  // namespace appd::zygote
