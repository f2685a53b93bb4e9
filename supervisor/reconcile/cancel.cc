// An operation that somebody takes back while it is being proved.
#include "supervisor/core/cancel.h"

#include "common/failpoint.h"
#include "supervisor/core/planner.h"
#include "supervisor/reconcile/reconciler.h"

namespace appd::reconcile {
namespace {

// How it ends: "cancelled by root: the wrong branch".
model::Operation cancelled(model::Operation operation, const CallOptions& options,
                           std::int32_t ready) {
  operation.phase = model::OperationPhase::Cancelled;
  operation.detail.clear();
  operation.ready_workers = ready;  // those that serve on
  operation.error_message = "cancelled";
  if (!options.caller.user.empty()) operation.error_message += " by " + options.caller.user;
  if (!options.reason.empty()) operation.error_message += ": " + options.reason;
  operation.end_time = std::chrono::system_clock::now();
  return operation;
}

}  // namespace

Answer<model::Operation> Reconciler::do_cancel(const CancelOperation& request) {
  auto replay = replayed<model::Operation>(
      request.options, [this](const store::Replay& r) { return replayed_operation(r); });
  if (replay) return *replay;
  store_changed();  // what waits to be stored of it is older
  const model::Operation* found = book_.find(request.id);
  if (found == nullptr) return operation_not_found(request.id);
  if (found->phase == model::OperationPhase::Cancelled) return *found;
  if (model::is_done(found->phase)) {
    std::string why = "operations/" + request.id + " has ended already";
    if (found->phase == model::OperationPhase::Succeeded) {
      why += "; to undo it, see appctl rollback " + found->app;
    }
    return Error{ErrorCode::FailedPrecondition, "OPERATION_DONE", std::move(why), 0};
  }
  if (ending()) return shutting_down();
  AppEntry& app = apps_.at(found->app);
  if (auto may = core::check_cancellable(*found, app.state); !may) return std::move(may).error();

  const core::Rollout& old = *app.state.find(*app.state.serving());
  const model::Operation operation = cancelled(*found, request.options, old.ready());
  model::Revision because;
  because.caller = request.options.caller;
  because.reason = operation.error_message;
  store::Change change;
  model::AppRecord record = refuse(app, operation.rollout, std::move(because), change);
  change.more_operations = {operation};
  change.audit =
      audit_line("cancelled operations/" + operation.id + " of " + app.record.id, request.options);
  change.request = answered_by(request.options, app.record.id, operation.id);
  if (auto stored = store_->commit(change, *operation.end_time); !stored) {
    log_->error("cannot store a cancellation app={} why=\"{}\"", app.record.id,
                stored.error().message);
    return std::move(stored).error();
  }
  failpoint("change.recorded");
  take_back(app, std::move(record));
  app.state.failed_rollout = operation.rollout;
  if (auto coming = app.state.coming()) {
    act(app, core::dismissal(*coming, *app.state.find(*coming)));
  }
  app.published.reset();  // watchers see what users set, too
  book_.replace(operation);
  publish_operation(operation);
  count_ended(change.more_operations);
  log_->info("change cancelled app={} operation={} what=\"{}\"", app.record.id, operation.id,
             change.audit);
  dirty_.insert(app.record.id);
  return operation;
}

void Reconciler::cancel_operation(CancelOperation request, Reply<model::Operation> reply) {
  post([this, request = std::move(request), reply = std::move(reply)] {
    reply(do_cancel(request));
    failpoint("change.answered");
  });
}

}  // namespace appd::reconcile
