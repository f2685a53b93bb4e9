// Measurement: what apps and workers had done, and were at, at one moment. Values only.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/scoreboard.h"
#include "supervisor/model/observed.h"

namespace appd::model {

// What has happened to an app, and what rollouts that are gone have done. Only grows.
struct Tally {
  Counts counts;
  std::chrono::nanoseconds cpu{0};
  std::int64_t log_lost_lines = 0;
  std::int64_t log_lost_bytes = 0;
  std::array<std::int64_t, kDeathCauses> exits{};  // of workers, by DeathCause
  std::int64_t recycled = 0;                       // of these: to be replaced
  std::array<std::array<std::int64_t, kOutcomes>, kOperationKinds> operations{};  // ended ones
  std::array<std::int64_t, kFailureCauses> failures{};  // of rollouts, by FailureCause

  void count(const Operation& ended);
  std::int64_t unexpected_exits() const;
  Tally& operator+=(const Tally& more);
  bool operator==(const Tally&) const = default;
};

// How many calls of the API there were, by method ("appd.v1.Apps/GetApp") and code ("NOT_FOUND").
using CallCounts = std::map<std::pair<std::string, std::string>, std::int64_t>;

struct MeasuredApp {
  std::string id;
  std::string uid;
  AppState state = AppState::Starting;
  ProcessState process_state = ProcessState::Starting;
  std::string worker_class;
  std::int64_t rollout = 0;
  std::int32_t wanted_workers = 0;
  std::int32_t ready_workers = 0;
  std::int32_t open_operations = 0;
  std::optional<std::int32_t> queue;  // connections that nobody has accepted; empty: not known
  Tally tally;                        // with what its present processes have done
  // Of its present processes.
  std::int32_t busy = 0;
  std::int32_t connections = 0;
  std::int64_t memory = 0;  // resident bytes
};

struct MeasuredWorker {
  WorkerView view;
  Counts counts;  // since it began
  std::chrono::nanoseconds cpu{0};
};

struct Measurement {
  std::chrono::steady_clock::time_point at;
  WallTime time;
  std::vector<MeasuredApp> apps;        // by id
  std::vector<MeasuredWorker> workers;  // by app, then id
  CallCounts calls;
};

}  // namespace appd::model
