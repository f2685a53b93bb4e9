// Back to what was: because somebody asked, or because what was asked for failed.
#include "supervisor/core/rollback.h"

#include <algorithm>

#include "common/failpoint.h"
#include "supervisor/reconcile/change_records.h"
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

void Reconciler::do_rollback(const RollbackApp& request, const Reply<model::Operation>& reply) {
  make_room(request.id, request.options);
  auto replay = replayed<model::Operation>(
      request.options, [this](const store::Replay& r) { return replayed_operation(r); });
  if (replay) return reply(*replay);
  auto it = apps_.find(request.id);
  AppEntry* app = it == apps_.end() ? nullptr : &it->second;
  if (auto rejected = check_edit(app, request.id, request.options)) return reply(*rejected);
  store_changed();  // what has ended in this turn is part of the history
  auto history = store_->revisions(request.id);
  if (!history) return reply(std::move(history).error());
  auto revision = wanted_revision(request, *history);
  if (!revision) return reply(std::move(revision).error());

  Edit edit{revision->spec, model::OperationKind::Rollback, /*always_rollout=*/true,
            revision->number};
  edit.spec.run_mode = app->record.spec.run_mode;  // what runs goes back, not whether it does
  edit_spec(*app, std::move(edit), request.options, [this, reply](const auto& edited) {
    if (!edited) return reply(edited.rejection());
    reply(*book_.find(edited.value().record.operation));
  });
}

// What is wanted is again what serves, so that a restart does not bring the refused change back,
// and the refused rollout is remembered, in one transaction with how the operation ended.
void Reconciler::roll_back_spec(AppEntry& app, const model::Failure& failure) {
  model::Revision because;
  because.reason = failure.message;
  store::Change change;
  model::AppRecord record = refuse(app, app.state.failed_rollout, std::move(because), change);
  change.more_operations = book_.take_changed();
  failpoint("rollout.failed");
  if (auto stored = store_->commit(change, std::chrono::system_clock::now()); !stored) {
    log_->error("cannot store the roll-back app={} why=\"{}\"", record.id, stored.error().message);
    book_.give_back(change.more_operations);
  } else {
    count_ended(change.more_operations);
  }
  take_back(app, std::move(record));
  failpoint("rollout.rolled_back");
  book_.tell(change.more_operations);
}

// Puts into the change that the rollout is refused and that its spec is no longer wanted; the
// record that results. `because`: who and why, for the revision that this may take.
model::AppRecord Reconciler::refuse(const AppEntry& app, std::int64_t rollout,
                                    model::Revision because, store::Change& change) {
  model::AppRecord record = app.record;
  record.failed_rollout = rollout;
  if (record.last_good_spec) {
    record.spec = model::with_code_of(record.spec, *record.last_good_spec, served_class(app.state));
  }
  if (record.spec != app.record.spec) {
    record.run_once_rollout = record.rollout;  // this code's tasks were run when it came
    take_back_revision(record, because);
    change.put_revision = std::move(because);
    change.audit = "rolled back " + record.id + " to its last good spec";
  }
  change.put_app = record;
  return record;
}

// Memory follows what refuse() has said.
void Reconciler::take_back(AppEntry& app, model::AppRecord record) {
  if (app.former_listeners) {
    app.listeners.abandon(*app.former_listeners);
    app.listeners = *std::exchange(app.former_listeners, std::nullopt);
  }
  app.record = std::move(record);
  set_socket_permissions(app);
}

// Makes of a record with another spec the next revision of it.
void Reconciler::take_back_revision(model::AppRecord& record, model::Revision& revision) {
  ++record.generation;
  ++record.version;
  ++record.revision;
  record.update_time = std::chrono::system_clock::now();
  revision.app = record.id;
  revision.number = record.revision;
  revision.generation = record.generation;
  revision.rollout = record.rollout;
  revision.spec = record.spec;
  revision.time = record.update_time;
  revision.outcome = model::OperationPhase::Succeeded;
  revision.end_time = revision.time;
  if (auto history = store_->revisions(record.id)) {
    revision.restores = core::revision_with(*history, record.spec);
  }
}

void Reconciler::rollback_app(RollbackApp request, Reply<model::Operation> reply) {
  post_beside([this, request = std::move(request), reply = answered(std::move(reply))] {
    do_rollback(request, reply);
  });
}

}  // namespace appd::reconcile
