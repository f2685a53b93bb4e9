// Death: the certificate of a worker's end. Values only.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "supervisor/model/app_spec.h"

namespace appd::model {

enum class DeathCause {
  Asked,            // told to go, it finished what it had
  Crashed,          // ended by a signal of its own making, or exited although nobody asked
  BootFailed,       // the import failed in it
  BootTimeout,      // killed: not ready in time
  Timeout,          // killed: stuck
  RequestTimeout,   // killed: a request was too old and could not be ended otherwise
  Stopped,          // killed: SIGSTOP had stopped it for too long
  GracefulTimeout,  // told to go, it left requests unfinished
  OutOfMemory,      // killed by the kernel
  Killed,           // SIGKILL from outside
  Unknown,          // its zygote was gone: nobody was told how it ended
};
inline constexpr std::size_t kDeathCauses = static_cast<std::size_t>(DeathCause::Unknown) + 1;

// Where a request was.
enum class RequestStage {
  InApp,
  Receiving,  // its body was still to come
  Sending,    // its client had not taken the answer yet
};

// What a worker had in hand as it ended.
struct LostRequest {
  std::string method;
  std::string path;
  Milliseconds age{0};
  RequestStage stage = RequestStage::InApp;

  bool operator==(const LostRequest&) const = default;
};

// The last of what its slot on the scoreboard said.
struct LastFigures {
  std::int64_t requests = 0;
  std::int64_t errors = 0;
  std::int64_t bytes_in = 0;
  std::int64_t bytes_out = 0;
  std::int32_t busy = 0;  // requests inside the app
  std::int32_t connections = 0;
  std::vector<LostRequest> in_hand;  // those that are known by name, the oldest first
  std::int32_t receiving = 0;        // requests in the other stages
  std::int32_t sending = 0;
  std::int32_t websockets = 0;

  std::int32_t unfinished() const { return busy + receiving + sending; }

  bool operator==(const LastFigures&) const = default;
};

struct Death {
  std::string app;
  std::int64_t id = 0;  // counted from 1 for each app
  std::int32_t worker = 0;
  std::int32_t pid = 0;
  std::int64_t rollout = 0;
  std::string worker_class;
  std::chrono::system_clock::time_point start_time;
  std::optional<std::chrono::system_clock::time_point> ready_time;
  std::chrono::system_clock::time_point end_time;
  DeathCause cause = DeathCause::Unknown;
  std::string reason;  // one line for people
  std::string limit;   // the setting that it went over: "timeout"; empty: none
  std::optional<std::int32_t> exit_status;
  std::optional<std::int32_t> signal;
  LastFigures figures;
  std::string stacks;  // taken before it was killed
  std::string log_tail;

  bool operator==(const Death&) const = default;
};

// "out_of_memory"; the store's words and the log's.
std::string_view word_of(DeathCause cause);

}  // namespace appd::model
