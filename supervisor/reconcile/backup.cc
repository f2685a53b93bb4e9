// The state as a whole: copied while it is in use, and apps brought back from such a copy, all of
// them or none.
#include "supervisor/store/backup.h"

#include <algorithm>

#include "supervisor/reconcile/change_records.h"
#include "supervisor/reconcile/reconciler.h"

namespace appd::reconcile {
namespace {

using std::chrono::system_clock;

// One answer of a repeated request is for several apps.
constexpr char kBetween = ',';

std::string joined(const std::vector<std::string>& ids) {
  std::string text;
  for (const std::string& id : ids) text += (text.empty() ? "" : std::string(1, kBetween)) + id;
  return text;
}

std::vector<std::string> taken_apart(std::string_view text) {
  std::vector<std::string> ids;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(kBetween), text.size());
    ids.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return ids;
}

}  // namespace

// Apps on their way back. What was opened for them is closed again unless they have begun.
struct Reconciler::Restoring {
  ~Restoring() {
    for (auto& [id, entry] : entries) entry.listeners.abandon({});
  }
  std::unique_ptr<store::BackupCopy> copy;
  std::map<std::string, AppEntry> entries;
};

void Reconciler::backup_state(BackupState request, Reply<BackupMade> reply) {
  post([this, request = std::move(request), reply = std::move(reply)] {
    store_changed();
    const auto size = store_->backup(request.path);
    if (!size) return reply(size.error());
    log_->info("state backed up path={} bytes={} by=\"{}\"", request.path, *size,
               describe(request.caller));
    reply(BackupMade{*size, store_->schema_version(), static_cast<std::int32_t>(apps_.size())});
  });
}

// Every rule that a new app is checked by, for all of them; then their sockets.
std::optional<Rejection> Reconciler::check_restored(Restoring& restoring) {
  std::vector<std::string> there;
  std::vector<model::Violation> violations;
  for (const auto& [id, entry] : restoring.entries) {
    if (apps_.contains(id)) there.push_back(id);
    if (auto rejected = check_spec(id, entry.record.spec)) {
      for (model::Violation& violation : rejected->violations) {
        violations.push_back({id + ": " + violation.field, std::move(violation.description)});
      }
    }
  }
  if (!there.empty()) {
    return Rejection{{ErrorCode::AlreadyExists, "APP_EXISTS",
                      "apps of the backup are there already: " + joined(there) +
                          "; delete them first (appctl delete), or restore into an appd "
                          "without them",
                      0},
                     {},
                     {{"apps", joined(there)}}};
  }
  if (!violations.empty()) {
    std::string message = violations.front().field + ": " + violations.front().description;
    return Rejection{{ErrorCode::InvalidArgument, "SPEC_INVALID", std::move(message), 0},
                     std::move(violations)};
  }
  for (auto& [id, entry] : restoring.entries) {
    if (!entry.desired().running()) continue;
    std::string bind;
    auto listeners = runtime::ListenerSet::open(entry.record.spec, {}, &bind);
    if (!listeners) {
      std::vector<model::Violation> refused{{id + ": spec.bind", listeners.error().message}};
      return Rejection{std::move(listeners).error(), std::move(refused), {{"bind", bind}}};
    }
    entry.listeners = *std::move(listeners);
    entry.state.listening = true;
  }
  return std::nullopt;
}

Answer<std::vector<model::AppView>> Reconciler::do_restore(const RestoreState& request) {
  const CallOptions& options = request.options;
  auto replay = replayed<std::vector<model::AppView>>(options, [this](const store::Replay& done) {
    std::vector<model::AppView> views;
    for (const std::string& id : taken_apart(done.app)) {
      auto it = apps_.find(id);
      if (it != apps_.end()) views.push_back(view(it->second, desired(it->second), runtime_));
    }
    return views;
  });
  if (replay) return *replay;
  if (ending()) return shutting_down();
  auto copy = store::BackupCopy::open(request.path, runtime_.paths().state_dir + "/restore.db");
  if (!copy) return std::move(copy).error();
  Restoring restoring;
  restoring.copy = *std::move(copy);
  for (const model::AppRecord& record : restoring.copy->apps()) {
    AppEntry& entry = restoring.entries[record.id];
    entry.record = record;
    // Nothing of what once ran is here: the app begins as a new one does.
    entry.record.run_once_rollout = entry.record.failed_rollout = entry.record.good_rollout = 0;
  }
  if (restoring.entries.empty()) {
    return Error{ErrorCode::FailedPrecondition, "BACKUP_UNUSABLE", request.path + " has no apps",
                 0};
  }
  if (auto rejected = check_restored(restoring)) return *rejected;
  std::vector<model::AppView> views;
  if (options.validate_only) {
    for (const auto& [id, entry] : restoring.entries) {
      views.push_back(view(entry, entry.desired(), runtime_));
    }
    return views;
  }

  std::vector<store::Change> changes;
  std::vector<std::string> ids;
  const auto now = system_clock::now();
  for (auto& [id, entry] : restoring.entries) {
    model::AppRecord& record = entry.record;
    ++record.version;
    record.update_time = now;
    model::Operation operation =
        new_operation(entry, record, model::OperationKind::Create, options);
    operation.rollout = record.rollout;
    operation.revision = ++record.revision;
    record.operation = operation.id;
    store::Change change;
    change.put_app = record;
    change.put_revision = new_revision(record, operation, options, 0);
    change.put_operation = std::move(operation);
    change.audit = audit_line("restored " + id, options);
    changes.push_back(std::move(change));
    ids.push_back(id);
  }
  changes.front().request = answered_by(options, joined(ids), "");
  if (auto stored = store_->restore(restoring.copy->path(), changes, now); !stored) {
    log_->error("cannot restore why=\"{}\"", stored.error().message);
    return std::move(stored).error();
  }
  for (const store::Change& change : changes) book_.add(*change.put_operation, {});
  log_->info("state restored path={} apps={} by=\"{}\"", request.path, joined(ids),
             describe(options.caller));
  begin_restored(restoring);
  for (const std::string& id : ids) {
    const AppEntry& entry = apps_.at(id);
    views.push_back(view(entry, desired(entry), runtime_));
  }
  return views;
}

void Reconciler::begin_restored(Restoring& restoring) {
  for (auto& [id, entry] : restoring.entries) {
    publish_operation(*book_.find(entry.record.operation));
    apps_[id] = std::move(entry);
    dirty_.insert(id);
  }
  restoring.entries.clear();
  if (auto loaded = load_last_deaths(); !loaded) {
    log_->error("cannot read certificates why=\"{}\"", loaded.error().message);
  }
}

void Reconciler::restore_state(RestoreState request, Reply<std::vector<model::AppView>> reply) {
  post([this, request = std::move(request), reply = std::move(reply)] {
    reply(do_restore(request));
  });
}

}  // namespace appd::reconcile
