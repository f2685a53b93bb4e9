// Back to what was: because somebody asked, or because what was asked for failed.
#include "supervisor/core/rollback.h"

#include <algorithm>

#include "common/failpoint.h"
#include "supervisor/reconcile/reconciler.h"

namespace appd::reconcile {
namespace {

// The revision that the request means.
Result<model::Revision> wanted_revision(const RollbackApp& request,
                                        const std::vector<model::Revision>& history) {
  std::int64_t number = request.revision;
  if (number == 0) number = TRY(core::revision_to_roll_back_to(history));
  const auto found = std::find_if(history.begin(), history.end(),
                                  [number](const auto& each) { return each.number == number; });
  if (found == history.end()) {
    return Error{ErrorCode::NotFound, "REVISION_NOT_FOUND",
                 "the app " + request.id + " has no revision " + std::to_string(number) +
                     " any more, or not yet; see appctl history " + request.id,
                 0};
  }
  return *found;
}

}  // namespace

Answer<model::Operation> Reconciler::do_rollback(const RollbackApp& request) {
  auto replay = replayed<model::Operation>(
      request.options, [this](const store::Replay& r) { return replayed_operation(r); });
  if (replay) return *replay;
  auto it = apps_.find(request.id);
  AppEntry* app = it == apps_.end() ? nullptr : &it->second;
  if (auto rejected = check_edit(app, request.id, request.options)) return *rejected;
  store_changed();  // what has ended in this turn is part of the history
  auto history = store_->revisions(request.id);
  if (!history) return std::move(history).error();
  auto revision = wanted_revision(request, *history);
  if (!revision) return std::move(revision).error();

  Edit edit{revision->spec, model::OperationKind::Rollback, /*always_rollout=*/true,
            revision->number};
  edit.spec.run_mode = app->record.spec.run_mode;  // what runs goes back, not whether it does
  auto edited = edit_spec(*app, std::move(edit), request.options);
  if (!edited) return edited.rejection();
  return *book_.find(edited.value().record.operation);
}

// What is wanted is again what serves, so that a restart does not bring the refused change back,
// and the refused rollout is remembered, in one transaction with how the operation ended.
void Reconciler::roll_back_spec(AppEntry& app, const model::Failure& failure) {
  if (app.former_listeners) {
    app.listeners.abandon(*app.former_listeners);
    app.listeners = *std::exchange(app.former_listeners, std::nullopt);
  }
  model::AppRecord record = app.record;
  record.failed_rollout = app.state.failed_rollout;
  store::Change change;
  if (record.last_good_spec) {
    record.spec = model::with_code_of(record.spec, *record.last_good_spec, served_class(app.state));
  }
  if (record.spec != app.record.spec) {
    record.run_once_rollout = record.rollout;  // this code's tasks were run when it came
    change.put_revision = take_back(record, failure);
    change.audit = "rolled back " + record.id + " to its last good spec";
  }
  change.put_app = record;
  change.more_operations = book_.take_changed();
  failpoint("rollout.failed");
  if (auto stored = store_->commit(change, std::chrono::system_clock::now()); !stored) {
    log_->error("cannot store the roll-back app={} why=\"{}\"", record.id, stored.error().message);
    book_.give_back(change.more_operations);
  } else {
    count_ended(change.more_operations);
  }
  app.record = std::move(record);
  set_socket_permissions(app);
  failpoint("rollout.rolled_back");
  book_.tell(change.more_operations);
}

// Makes of a record with another spec the next revision of it.
model::Revision Reconciler::take_back(model::AppRecord& record, const model::Failure& failure) {
  ++record.generation;
  ++record.version;
  ++record.revision;
  record.update_time = std::chrono::system_clock::now();
  model::Revision revision;
  revision.app = record.id;
  revision.number = record.revision;
  revision.generation = record.generation;
  revision.rollout = record.rollout;
  revision.spec = record.spec;
  revision.time = record.update_time;
  revision.reason = failure.message;
  revision.outcome = model::OperationPhase::Succeeded;
  revision.end_time = revision.time;
  if (auto history = store_->revisions(record.id)) {
    revision.restores = core::revision_with(*history, record.spec);
  }
  return revision;
}

void Reconciler::rollback_app(RollbackApp request, Reply<model::Operation> reply) {
  post([this, request = std::move(request), reply = std::move(reply)] {
    reply(do_rollback(request));
    failpoint("change.answered");
  });
}

}  // namespace appd::reconcile
