// Control: what the API asks of the core. One interface, so that api/ can be tested with a fake and
// the core without gRPC.
#pragma once

#include <spdlog/common.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "common/result.h"
#include "supervisor/model/measurement.h"
#include "supervisor/model/request.h"
#include "supervisor/model/revision.h"
#include "supervisor/model/token.h"
#include "supervisor/runtime/log_reader.h"

namespace appd::reconcile {

// Of every call that changes something.
struct CallOptions {
  std::string etag;         // empty: any
  std::string request_id;   // empty: none
  std::string fingerprint;  // of method and request bytes, to tell a retry from a reused request_id
  std::string method;       // "ScaleApp", for the history, as are:
  model::Caller caller;     // who
  std::string reason;       // why, in the caller's words
  bool validate_only = false;
};

struct CreateApp {
  std::string id;
  model::AppSpec spec;
  std::vector<model::Violation> unreadable;  // what the spec cannot express; told with all else
  CallOptions options;
};

// Edits the present spec in the core thread, so that two callers never overwrite each other. Pure.
// Answers what of it cannot be read: those fields stay as they are.
using SpecEdit = std::function<std::vector<model::Violation>(model::AppSpec&)>;

struct UpdateApp {
  std::string id;
  SpecEdit edit;
  model::OperationKind kind = model::OperationKind::Update;  // or Scale
  bool allow_missing = false;  // create it: edit is then applied to a default spec
  CallOptions options;
};
struct ReloadApp {
  std::string id;
  CallOptions options;
};
struct RollbackApp {
  std::string id;
  std::int64_t revision = 0;  // 0: the last good one before the present
  CallOptions options;
};
struct RecycleWorker {
  std::string app;
  std::int32_t worker = 0;
  CallOptions options;
};
struct CancelOperation {
  std::string id;
  CallOptions options;
};
struct DeleteApp {
  std::string id;
  bool allow_missing = false;
  CallOptions options;
};

struct Upgrade {
  std::string binary;  // absolute; empty: the one that this appd was started from
  CallOptions options;
};
// What has become of it, as the appd after it says.
struct Upgraded {
  std::string previous_version;
  std::string version;
  std::int32_t pid = 0;
  std::int32_t zygotes = 0;  // adopted, with
  std::int32_t workers = 0;
};
struct Shutdown {
  bool keep_apps = false;
  CallOptions options;
};
struct ShuttingDown {  // with so many
  std::int32_t apps = 0;
  std::int32_t workers = 0;
};
struct BackupState {
  std::string path;
  model::Caller caller;
};
struct BackupMade {
  std::int64_t size = 0;
  std::int32_t schema_version = 0;
  std::int32_t apps = 0;
};
struct RestoreState {
  std::string path;
  CallOptions options;
};

struct ReopenLogs {
  std::string app;  // id; empty: all
  CallOptions options;
};
struct SetLogLevel {
  spdlog::level::level_enum level;
  CallOptions options;
};

struct CancelRequest {
  std::string app;
  std::int32_t worker = 0;
  std::uint32_t number = 0;
  model::Caller caller;
};

struct CreateToken {
  model::Token token;
  CallOptions options;
};
struct DeleteToken {
  std::string id;
  CallOptions options;
};

// Why a call was refused: the error, and each field that breaks a rule.
struct Rejection {
  Error error;  // reason is a name of errors.proto's ErrorReason
  std::vector<model::Violation> violations;
  std::map<std::string, std::string> metadata{};  // values of the message, for programs
};

template <typename T>
class [[nodiscard]] Answer {
 public:
  Answer(T value)  // NOLINT(google-explicit-constructor)
      : state_(std::in_place_index<0>, std::move(value)) {}
  Answer(Rejection rejection)  // NOLINT(google-explicit-constructor)
      : state_(std::in_place_index<1>, std::move(rejection)) {}
  Answer(Error error)  // NOLINT(google-explicit-constructor)
      : Answer(Rejection{std::move(error), {}}) {}
  explicit operator bool() const { return state_.index() == 0; }
  const T& value() const { return std::get<0>(state_); }
  const Rejection& rejection() const { return std::get<1>(state_); }

 private:
  std::variant<T, Rejection> state_;
};

template <typename T>
using Reply = std::function<void(Answer<T>)>;

// A query of logs in hand; ends with the object, and must not outlive the Control.
using LogReading = runtime::LogReader::Reading;
struct WorkerStacks {
  std::int32_t pid = 0;
  std::string text;
};

struct Snapshot {  // consistent: everything as of `revision`
  std::int64_t revision = 0;
  std::vector<model::AppView> apps;        // by id
  std::vector<model::WorkerView> workers;  // by app, then id
};

// A watcher's cursor into the hub's ring. Any thread. Ends with the object.
class Subscription {
 public:
  virtual ~Subscription() = default;
  // The next events, at most `limit`; empty: none now, and `wake` is called once when there are.
  // Error REVISION_COMPACTED when the cursor has fallen out of the ring.
  virtual Result<std::vector<model::EventPtr>> next(std::size_t limit) = 0;
};

// Thread-safe. Replies are called once each, on the core thread: be quick, hand over.
class Control {
 public:
  virtual ~Control() = default;
  virtual void create_app(CreateApp request, Reply<model::AppView> reply) = 0;
  virtual void update_app(UpdateApp request, Reply<model::AppView> reply) = 0;
  virtual void reload_app(ReloadApp request, Reply<model::Operation> reply) = 0;
  virtual void rollback_app(RollbackApp request, Reply<model::Operation> reply) = 0;
  // The operation is empty (id "") when nothing was there and allow_missing was set.
  virtual void delete_app(DeleteApp request, Reply<model::Operation> reply) = 0;
  // Who asks about apps within a scope gets nothing of others; APP_NOT_FOUND if the one that it
  // names is not there.
  virtual void snapshot(model::AppScope scope, Reply<Snapshot> reply) = 0;
  // The certificates of workers that ended, by app, then newest first.
  virtual void deaths(model::AppScope scope, Reply<std::vector<model::Death>> reply) = 0;
  // What apps and workers have done and are at: of all, or of one (APP_NOT_FOUND if there is none).
  // Read on a thread of its own, which also replies; whoever asks meanwhile shares the next one.
  virtual void measure(std::optional<std::string> app,
                       Reply<std::shared_ptr<const model::Measurement>> reply) = 0;
  // What a worker is at. Replies within kStacksTime.
  virtual void dump_stacks(std::string app, std::int32_t worker, Reply<WorkerStacks> reply) = 0;
  // Has a worker replaced; replies with what it is now.
  virtual void recycle_worker(RecycleWorker request, Reply<model::WorkerView> reply) = 0;
  // A copy of the state as of now, in a new file; BACKUP_FAILED.
  virtual void backup_state(BackupState request, Reply<BackupMade> reply) = 0;
  // All apps of such a copy, or none; replies with them as they begin.
  virtual void restore_state(RestoreState request, Reply<std::vector<model::AppView>> reply) = 0;
  // What workers have in hand now.
  virtual void requests(model::AppScope scope, Reply<model::RequestsView> reply) = 0;
  // Has a request in hand ended; replies with what it was as soon as its worker was told.
  virtual void cancel_request(CancelRequest request, Reply<model::RequestView> reply) = 0;
  virtual void operation(std::string id, Reply<model::Operation> reply) = 0;
  // Those that are kept, whether their apps are there or not.
  virtual void operations(model::AppScope scope, Reply<std::vector<model::Operation>> reply) = 0;
  virtual void cancel_operation(CancelOperation request, Reply<model::Operation> reply) = 0;
  // The history of an app (APP_NOT_FOUND if there is none), newest first.
  virtual void revisions(std::string app, Reply<std::vector<model::Revision>> reply) = 0;
  // Replies when the operation is done or `deadline` has come.
  virtual void wait_operation(std::string id, std::chrono::steady_clock::time_point deadline,
                              Reply<model::Operation> reply) = 0;
  // Events with a revision of at least `from`. `wake` may be called from any thread.
  virtual Result<std::unique_ptr<Subscription>> subscribe(std::int64_t from, model::AppScope scope,
                                                          std::function<void()> wake) = 0;
  // Reads an app's logs; batches come on another thread, one for each LogReading::next().
  virtual void read_logs(std::string app, core::LogQuery query, runtime::LogReader::Deliver deliver,
                         Reply<std::shared_ptr<LogReading>> reply) = 0;
  // Every process of the app, or of all, gets its log files anew by their names. The number of
  // apps; when it is told, their new files are on the way.
  virtual void reopen_logs(ReopenLogs request, Reply<std::int32_t> reply) = 0;
  // Of appd's own log. The level before.
  virtual void set_log_level(SetLogLevel request, Reply<spdlog::level::level_enum> reply) = 0;
  // Replies only when it is refused: after a success this process is another appd, which answers a
  // repetition of the request.
  virtual void upgrade(Upgrade request, Reply<Upgraded> reply) = 0;
  // Replies at once; what follows takes as long as the slowest app drains.
  virtual void shutdown(Shutdown request, Reply<ShuttingDown> reply) = 0;
  // A repetition (by request_id) replaces the hash: whoever repeats it has not got the secret.
  virtual void create_token(CreateToken request, Reply<model::Token> reply) = 0;
  // The id of what has been deleted.
  virtual void delete_token(DeleteToken request, Reply<std::string> reply) = 0;
  // By id, those that have expired among them. Any thread, at once.
  virtual std::shared_ptr<const std::vector<model::Token>> tokens() const = 0;
  virtual std::int64_t revision() const = 0;
  // The first one that can still be subscribed from.
  virtual std::int64_t oldest_revision() const = 0;
  // A call of the API has ended with this code.
  virtual void count_call(const std::string& method, const std::string& code) = 0;
};

}  // namespace appd::reconcile
