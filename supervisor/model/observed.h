// What the outside sees of apps, workers and operations: plain values, copied out of the core
// thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "common/result.h"
#include "supervisor/model/app_spec.h"
#include "supervisor/model/cut.h"
#include "supervisor/model/death.h"

namespace appd::model {

using WallTime = std::chrono::system_clock::time_point;

enum class FailureCause {
  ImportFailed,
  AppNotFound,
  InterpreterFailed,
  BootTimeout,
  WorkerDied,
  SpawnFailed,
  BindFailed,
  ProbeFailed,
  CanaryFailed,
  RunOnceFailed,
};
inline constexpr std::size_t kFailureCauses =
    static_cast<std::size_t>(FailureCause::RunOnceFailed) + 1;

// Why a rollout did not make it.
struct Failure {
  FailureCause cause = FailureCause::ImportFailed;
  std::string message;    // one line for people
  std::string traceback;  // Python's, or the last lines of output
  std::int64_t rollout = 0;
  WallTime time;
};

enum class AppState { Starting, Active, Updating, Stopping, Stopped, Failing, Deleting };

// supervisord's names for the states of processes, for those who know them.
enum class ProcessState {
  Stopped,
  Starting,
  Running,
  Backoff,  // what is missing is started again after a pause
  Stopping,
  Exited,
  Fatal,  // the same, and the pause is the longest
};

struct AppObserved {
  AppState state = AppState::Starting;
  std::int64_t generation = 0;
  bool reconciling = false;
  std::int32_t ready_workers = 0;
  std::int64_t rollout = 0;
  std::string worker_class;
  bool preloaded = false;
  std::string preload_note;
  std::string limits_note;  // why limits of memory, CPU or pids are not kept
  std::string python_version;
  std::optional<Failure> last_failure;
  std::optional<WallTime> retry_time;
  std::int64_t unexpected_exits = 0;
  std::string log_path;
  ProcessState process_state = ProcessState::Starting;
  std::int64_t drained_exits = 0;
  // The newest certificate's number (0: none) and its reason.
  std::int64_t last_death = 0;
  std::string last_death_reason;
  std::int64_t recycled_workers = 0;
  std::string access_log_path;
  // Of its logs, what could not be written: the disk was full.
  std::int64_t log_lost_lines = 0;
  std::int64_t log_lost_bytes = 0;
};

// What is stored of an app. `version` counts every edit of the row and is the etag.
struct AppRecord {
  std::string id;
  std::string uid;
  AppSpec spec;
  std::int64_t generation = 1;  // edits of the spec
  std::int64_t version = 1;     // edits of the row
  std::int64_t rollout = 1;     // the copy of the code that is wanted; reload adds one
  std::int64_t revision = 0;    // the newest in its history, from 1
  bool deleting = false;
  // The rollout whose run_once tasks are done.
  std::int64_t run_once_rollout = 0;
  // The spec and generation that last served as asked; absent until the first success.
  std::optional<AppSpec> last_good_spec;
  // The rollout that served last as asked; 0: none, or not known.
  std::int64_t good_rollout = 0;
  // The rollout that was refused and is not tried again while an earlier one serves; 0: none.
  std::int64_t failed_rollout = 0;
  std::string operation;  // id of the newest operation
  WallTime create_time;
  WallTime update_time;

  std::string etag() const { return "W/\"" + std::to_string(version) + "\""; }
};

struct AppView {
  AppRecord record;
  AppObserved observed;
  // In the answer to a change: the environment variables that got another value.
  std::vector<std::string> changed_env = {};
};

enum class WorkerState { Starting, Ready, Draining, Exited };

struct WorkerView {
  std::string app;
  std::int32_t id = 0;
  std::int32_t pid = 0;
  WorkerState state = WorkerState::Starting;
  std::int64_t rollout = 0;
  std::string worker_class;
  std::string effective_worker_class;
  std::int32_t threads = 1;
  WallTime start_time;
  std::optional<WallTime> ready_time;
  std::int64_t requests = 0;
  std::int64_t errors = 0;
  std::int32_t busy = 0;
  std::int32_t connections = 0;
  std::string exit_reason;
  ProcessState process_state = ProcessState::Starting;
  std::string recycling;    // why it is being replaced; empty: it is not
  std::int64_t memory = 0;  // resident bytes; 0: not looked at
};

enum class OperationKind { Create, Update, Scale, Reload, Delete, Rollback };
inline constexpr std::size_t kOperationKinds =
    static_cast<std::size_t>(OperationKind::Rollback) + 1;
enum class OperationPhase {
  Preparing,
  Warming,
  Switching,
  Draining,
  Applying,
  Succeeded,
  RolledBack,
  Failed,
  Superseded,
  Cancelled,  // somebody took it back before it had taken over
};
constexpr bool is_done(OperationPhase phase) { return phase >= OperationPhase::Succeeded; }
inline constexpr std::size_t kOutcomes = static_cast<std::size_t>(OperationPhase::Cancelled) -
                                         static_cast<std::size_t>(OperationPhase::Succeeded) + 1;

struct Operation {
  std::string id;  // UUID
  std::string app;
  OperationKind kind = OperationKind::Update;
  OperationPhase phase = OperationPhase::Applying;
  std::int64_t generation = 0;
  std::int64_t rollout = 0;
  std::int64_t revision = 0;  // the one that it wrote; 0: it changed neither spec nor rollout
  std::string reason;         // the user's words
  std::string detail;         // what goes on now, for people; not stored
  std::string error_message;  // set when done without success
  std::optional<Failure> failure;
  std::int32_t ready_workers = 0;
  std::int32_t wanted_workers = 0;
  std::int32_t draining_workers = 0;
  Cut cut;  // of the workers that had to go for it
  WallTime create_time;
  std::optional<WallTime> end_time;
};

// One published change. Events of one revision never change; they are shared by all watchers.
struct Removed {
  std::string name;  // "apps/x" or "apps/x/workers/3"
};
struct Note {
  std::string text;
};
// For one watcher only: nothing of what it wants to know has happened up to this revision.
struct Progress {};
struct Event {
  std::int64_t revision = 0;
  WallTime time;
  std::string app;
  std::variant<AppView, WorkerView, Operation, Removed, Note, Progress> what;
};
using EventPtr = std::shared_ptr<const Event>;

struct ServerInfo {
  std::string version;
  std::int32_t pid = 0;
  WallTime start_time;
  std::string state_dir;
  std::string runtime_dir;
  std::vector<std::string> listen;
  std::int32_t schema_version = 0;
};

}  // namespace appd::model
