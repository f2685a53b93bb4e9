// Model to proto, field by field; enumerations by switches that a new enumerator breaks.
#include "supervisor/api/convert.h"

#include "common/result.h"
#include "supervisor/api/grpc_status.h"
#include "supervisor/api/names.h"
#include "supervisor/api/spec_convert.h"

namespace appd::api {
namespace {

v1::Operation::Kind proto_of(model::OperationKind kind) {
  switch (kind) {
    case model::OperationKind::Create:
      return v1::Operation::CREATE;
    case model::OperationKind::Update:
      return v1::Operation::UPDATE;
    case model::OperationKind::Scale:
      return v1::Operation::SCALE;
    case model::OperationKind::Reload:
      return v1::Operation::RELOAD;
    case model::OperationKind::Delete:
      return v1::Operation::DELETE;
    case model::OperationKind::Rollback:
      return v1::Operation::ROLLBACK;
  }
  return v1::Operation::KIND_UNSPECIFIED;
}

void fill(const model::AppObserved& observed, v1::AppObserved& out) {
  out.set_state(to_proto(observed.state));
  out.set_generation(observed.generation);
  out.set_reconciling(observed.reconciling);
  out.set_ready_workers(observed.ready_workers);
  out.set_rollout(observed.rollout);
  out.set_worker_class(observed.worker_class);
  out.set_preloaded(observed.preloaded);
  out.set_preload_note(observed.preload_note);
  out.set_limits_note(observed.limits_note);
  out.set_python_version(observed.python_version);
  if (observed.last_failure) to_proto(*observed.last_failure, *out.mutable_last_failure());
  if (observed.retry_time) to_proto(*observed.retry_time, *out.mutable_retry_time());
  out.set_unexpected_exits(observed.unexpected_exits);
  out.set_log_path(observed.log_path);
  out.set_process_state(to_proto(observed.process_state));
  out.set_drained_exits(observed.drained_exits);
  out.set_recycled_workers(observed.recycled_workers);
  out.set_access_log_path(observed.access_log_path);
  out.set_log_lost_lines(observed.log_lost_lines);
  out.set_log_lost_bytes(observed.log_lost_bytes);
}

}  // namespace

v1::AppObserved::State to_proto(model::AppState state) {
  switch (state) {
    case model::AppState::Starting:
      return v1::AppObserved::STARTING;
    case model::AppState::Active:
      return v1::AppObserved::ACTIVE;
    case model::AppState::Updating:
      return v1::AppObserved::UPDATING;
    case model::AppState::Stopping:
      return v1::AppObserved::STOPPING;
    case model::AppState::Stopped:
      return v1::AppObserved::STOPPED;
    case model::AppState::Failing:
      return v1::AppObserved::FAILING;
    case model::AppState::Deleting:
      return v1::AppObserved::DELETING;
  }
  return v1::AppObserved::STATE_UNSPECIFIED;
}

v1::Worker::State to_proto(model::WorkerState state) {
  switch (state) {
    case model::WorkerState::Starting:
      return v1::Worker::STARTING;
    case model::WorkerState::Ready:
      return v1::Worker::READY;
    case model::WorkerState::Draining:
      return v1::Worker::DRAINING;
    case model::WorkerState::Exited:
      return v1::Worker::EXITED;
  }
  return v1::Worker::STATE_UNSPECIFIED;
}

v1::ProcessState to_proto(model::ProcessState state) {
  switch (state) {
    case model::ProcessState::Stopped:
      return v1::STOPPED;
    case model::ProcessState::Starting:
      return v1::STARTING;
    case model::ProcessState::Running:
      return v1::RUNNING;
    case model::ProcessState::Backoff:
      return v1::BACKOFF;
    case model::ProcessState::Stopping:
      return v1::STOPPING;
    case model::ProcessState::Exited:
      return v1::EXITED;
    case model::ProcessState::Fatal:
      return v1::FATAL;
  }
  return v1::PROCESS_STATE_UNSPECIFIED;
}

v1::Failure::Cause to_proto(model::FailureCause cause) {
  switch (cause) {
    case model::FailureCause::ImportFailed:
      return v1::Failure::IMPORT_FAILED;
    case model::FailureCause::AppNotFound:
      return v1::Failure::APP_NOT_FOUND;
    case model::FailureCause::InterpreterFailed:
      return v1::Failure::INTERPRETER_FAILED;
    case model::FailureCause::BootTimeout:
      return v1::Failure::BOOT_TIMEOUT;
    case model::FailureCause::WorkerDied:
      return v1::Failure::WORKER_DIED;
    case model::FailureCause::SpawnFailed:
      return v1::Failure::SPAWN_FAILED;
    case model::FailureCause::BindFailed:
      return v1::Failure::BIND_FAILED;
    case model::FailureCause::ProbeFailed:
      return v1::Failure::PROBE_FAILED;
    case model::FailureCause::CanaryFailed:
      return v1::Failure::CANARY_FAILED;
    case model::FailureCause::RunOnceFailed:
      return v1::Failure::RUN_ONCE_FAILED;
  }
  return v1::Failure::CAUSE_UNSPECIFIED;
}

v1::Operation::Phase to_proto(model::OperationPhase phase) {
  switch (phase) {
    case model::OperationPhase::Preparing:
      return v1::Operation::PREPARING;
    case model::OperationPhase::Warming:
      return v1::Operation::WARMING;
    case model::OperationPhase::Switching:
      return v1::Operation::SWITCHING;
    case model::OperationPhase::Draining:
      return v1::Operation::DRAINING;
    case model::OperationPhase::Applying:
      return v1::Operation::APPLYING;
    case model::OperationPhase::Succeeded:
      return v1::Operation::SUCCEEDED;
    case model::OperationPhase::RolledBack:
      return v1::Operation::ROLLED_BACK;
    case model::OperationPhase::Failed:
      return v1::Operation::FAILED;
    case model::OperationPhase::Superseded:
      return v1::Operation::SUPERSEDED;
    case model::OperationPhase::Cancelled:
      return v1::Operation::CANCELLED;
  }
  return v1::Operation::PHASE_UNSPECIFIED;
}

void to_proto(model::WallTime time, google::protobuf::Timestamp& out) {
  using std::chrono::floor;
  const auto seconds = floor<std::chrono::seconds>(time);
  out.set_seconds(seconds.time_since_epoch().count());
  out.set_nanos(static_cast<std::int32_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(time - seconds).count()));
}

void to_proto(model::Milliseconds duration, google::protobuf::Duration& out) {
  out.set_seconds(duration.count() / 1000);
  out.set_nanos(static_cast<std::int32_t>(duration.count() % 1000 * 1'000'000));
}

void to_proto(const model::Failure& failure, v1::Failure& out) {
  out.set_cause(to_proto(failure.cause));
  out.set_message(failure.message);
  out.set_traceback(failure.traceback);
  out.set_rollout(failure.rollout);
  to_proto(failure.time, *out.mutable_time());
}

void to_proto(const model::AppView& app, v1::App& out) {
  const model::AppRecord& record = app.record;
  out.set_name(app_name(record.id));
  out.set_uid(record.uid);
  to_proto(record.spec, *out.mutable_spec());
  fill(app.observed, *out.mutable_observed());
  if (app.observed.last_death != 0) {
    out.mutable_observed()->set_last_death(death_name(record.id, app.observed.last_death));
    out.mutable_observed()->set_last_death_reason(app.observed.last_death_reason);
  }
  out.set_generation(record.generation);
  out.set_etag(record.etag());
  if (!record.operation.empty()) out.set_operation(operation_name(record.operation));
  to_proto(record.create_time, *out.mutable_create_time());
  to_proto(record.update_time, *out.mutable_update_time());
  out.set_revision(record.revision);
  for (const std::string& name : app.changed_env) out.add_changed_env(name);
}

void to_proto(const model::WorkerView& worker, v1::Worker& out) {
  out.set_name(worker_name(worker.app, worker.id));
  out.set_id(worker.id);
  out.set_pid(worker.pid);
  out.set_state(to_proto(worker.state));
  out.set_rollout(worker.rollout);
  out.set_worker_class(worker.worker_class);
  out.set_effective_worker_class(worker.effective_worker_class);
  out.set_threads(worker.threads);
  to_proto(worker.start_time, *out.mutable_start_time());
  if (worker.ready_time) to_proto(*worker.ready_time, *out.mutable_ready_time());
  out.set_requests(worker.requests);
  out.set_errors(worker.errors);
  out.set_busy(worker.busy);
  out.set_connections(worker.connections);
  out.set_exit_reason(worker.exit_reason);
  out.set_process_state(to_proto(worker.process_state));
  out.set_recycling(worker.recycling);
  out.set_memory(worker.memory);
}

void to_proto(const model::RequestView& request, v1::RequestInHand& out) {
  out.set_name(request_name(request.app, request.worker, request.number));
  out.set_pid(request.pid);
  out.set_method(request.method);
  out.set_path(request.path);
  to_proto(request.age, *out.mutable_age());
  out.set_stage(to_proto(request.stage));
  out.set_cancellable(request.cancellable);
}

void to_proto(const model::Operation& operation, v1::Operation& out) {
  // Empty: there was nothing to do (DeleteApp with allow_missing).
  if (!operation.id.empty()) out.set_name(operation_name(operation.id));
  out.set_app(app_name(operation.app));
  out.set_kind(proto_of(operation.kind));
  out.set_phase(to_proto(operation.phase));
  out.set_done(model::is_done(operation.phase));
  if (out.done() && operation.phase != model::OperationPhase::Succeeded) {
    *out.mutable_error() = to_operation_error(operation);
  }
  if (operation.failure) to_proto(*operation.failure, *out.mutable_failure());
  out.mutable_progress()->set_ready_workers(operation.ready_workers);
  out.mutable_progress()->set_wanted_workers(operation.wanted_workers);
  out.mutable_progress()->set_draining_workers(operation.draining_workers);
  to_proto(operation.create_time, *out.mutable_create_time());
  if (operation.end_time) to_proto(*operation.end_time, *out.mutable_end_time());
  out.set_generation(operation.generation);
  out.set_rollout(operation.rollout);
  out.set_reason(operation.reason);
  out.set_detail(operation.detail);
  out.set_revision(operation.revision);
  if (operation.cut.any()) to_proto(operation.app, operation.cut, *out.mutable_cut());
}

void to_proto(const model::Event& event, v1::WatchResponse& out) {
  out.set_revision(event.revision);
  to_proto(event.time, *out.mutable_time());
  std::visit(
      Overloaded{
          [&](const model::AppView& app) { to_proto(app, *out.mutable_app()); },
          [&](const model::WorkerView& worker) { to_proto(worker, *out.mutable_worker()); },
          [&](const model::Operation& operation) { to_proto(operation, *out.mutable_operation()); },
          [&](const model::Removed& removed) { out.mutable_removed()->set_name(removed.name); },
          [&](const model::Note& note) {
            if (!event.app.empty()) out.mutable_note()->set_app(app_name(event.app));
            out.mutable_note()->set_text(note.text);
          },
          [&](const model::Progress&) { out.mutable_progress(); },
      },
      event.what);
}

void to_proto(const model::ServerInfo& info, v1::ServerInfo& out) {
  out.set_version(info.version);
  out.set_pid(info.pid);
  to_proto(info.start_time, *out.mutable_start_time());
  out.set_state_dir(info.state_dir);
  out.set_runtime_dir(info.runtime_dir);
  for (const std::string& address : info.listen) out.add_listen(address);
  out.set_schema_version(info.schema_version);
}

}  // namespace appd::api
