// Child: one living worker as its zygote knows it.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "common/messages.h"
#include "common/unique_fd.h"
#include "worker/net/clock.h"
#include "worker/net/log_output.h"
#include "worker/net/log_pipe.h"

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
  net::TimePoint kill_at = net::kNever;
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

  void signal(int number) const;
  // Readable when it has something to say; -1: it never will.
  int fd() const;

  message::Forked forked_message(net::TimePoint now) const;
  message::Ready ready_message(net::TimePoint now, const std::string& worker_class) const;
  // Once it has been reaped.
  message::Exited exited_message(net::TimePoint now, int wait_status) const;
};

}  // namespace appd::zygote
