// Rollout: what appd has given a zygote to serve.
#pragma once

#include <string>
#include <vector>

#include "common/messages.h"
#include "common/scoreboard.h"
#include "common/unique_fd.h"
#include "worker/engine/handover.h"

namespace appd::zygote {

// What a pool of commands calls its class.
inline constexpr char kCommandClass[] = "command";

// Owns scoreboard and sockets, until a fork takes its copies over. The zygote's only thread.
struct Rollout {
  message::Load load;  // its settings are those of the last Tune, its class that which serves
  Scoreboard scoreboard;
  std::vector<UniqueFd> listeners;
  engine::Handover handover;      // of all workers
  std::vector<std::string> argv;  // of a pool of commands; empty: it is an app's
  message::Loaded loaded;         // as appd is told, or will be

  Rollout() = default;
  Rollout(const Rollout&) = delete;
  Rollout& operator=(const Rollout&) = delete;
  ~Rollout();

  // Takes Load and what came with it: the scoreboard, then the listening sockets. The process and
  // its log are named after it. False: the descriptors cannot be used.
  bool take(message::Load given, std::vector<UniqueFd> descriptors);
  // The scoreboard, then the listening sockets; nothing before take().
  std::vector<int> descriptors() const;

  bool of_commands() const { return !argv.empty(); }
  const message::Settings& settings() const { return load.settings; }
  // Who writes a worker's lines, "7/3".
  std::string log_writer(std::uint32_t worker) const;
};

// The kernel keeps 15 bytes: "appd:name" and, of a worker, a suffix like ":17".
void set_process_name(const std::string& app, const std::string& suffix);

// Nonblocking, and TCP_NODELAY for what it accepts.
Result<void> prepare_listener(int socket);

}  // namespace appd::zygote
