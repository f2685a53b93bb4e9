// The calls that change something: checked as a whole, committed, and only then merged.
//
// Those that wait at the same time share a transaction (decision 17): a call is checked and staged,
// and what follows from it comes when all that were staged are on disk. Nobody can tell, because
// what would see it commits first: a change of the same app or with the same request_id
// (make_room), one that is checked against other apps, and every call that does not say that it may
// be run beside.
#include <algorithm>

#include "common/failpoint.h"
#include "supervisor/model/address.h"
#include "supervisor/model/ids.h"
#include "supervisor/reconcile/change_records.h"
#include "supervisor/reconcile/reconciler.h"
#include "supervisor/runtime/host_checks.h"

namespace appd::reconcile {
namespace {

using std::chrono::system_clock;

Rejection spec_invalid(std::vector<model::Violation> violations) {
  std::string message = violations.front().field + ": " + violations.front().description;
  if (violations.size() > 1) message += " (and " + std::to_string(violations.size() - 1) + " more)";
  return {{ErrorCode::InvalidArgument, "SPEC_INVALID", message, 0}, std::move(violations)};
}

Rejection bind_refused(Error error, const std::string& bind) {
  std::vector<model::Violation> violations{{"spec.bind", error.message}};
  return {std::move(error), std::move(violations), {{"bind", bind}}};
}

// The variables that are there before and after, but with another value, or are new.
std::vector<std::string> changed_env(const model::AppSpec& before, const model::AppSpec& after) {
  std::vector<std::string> names;
  for (const auto& [name, value] : after.env) {
    const auto old = before.env.find(name);
    if (old == before.env.end() || old->second != value) names.push_back(name);
  }
  return names;
}

bool same_place(const std::string& a, const std::string& b) {
  auto left = model::parse_address(a);
  auto right = model::parse_address(b);
  return left && right && *left == *right;
}

}  // namespace

model::Operation new_operation(const AppEntry& app, const model::AppRecord& record,
                               model::OperationKind kind, const CallOptions& options) {
  model::Operation operation;
  operation.id = model::new_uuid();
  operation.app = record.id;
  operation.kind = kind;
  operation.generation = record.generation;
  operation.reason = options.reason;
  operation.ready_workers = app.state.ready();
  operation.wanted_workers = record.spec.workers;
  operation.create_time = record.update_time;
  return operation;
}

model::Revision new_revision(const model::AppRecord& record, const model::Operation& operation,
                             const CallOptions& options, std::int64_t restores) {
  model::Revision revision;
  revision.app = record.id;
  revision.number = record.revision;
  revision.generation = record.generation;
  revision.rollout = record.rollout;
  revision.spec = record.spec;
  revision.time = record.update_time;
  revision.caller = options.caller;
  revision.method = options.method;
  revision.reason = options.reason;
  revision.operation = operation.id;
  revision.outcome = operation.phase;
  revision.restores = restores;
  return revision;
}

Error shutting_down() {
  return {ErrorCode::Unavailable, "SHUTTING_DOWN", "appd is shutting down", 0};
}

std::optional<store::Change::Request> answered_by(const CallOptions& options, std::string app,
                                                  std::string operation) {
  if (options.request_id.empty()) return std::nullopt;
  return store::Change::Request{options.request_id,
                                {options.fingerprint, std::move(app), std::move(operation)}};
}

std::string audit_line(const std::string& words, const CallOptions& options) {
  std::string line = words + " by " + describe(options.caller);
  if (!options.reason.empty()) line += " (" + options.reason + ")";
  return line;
}

Error app_not_found(const std::string& id) {
  return {ErrorCode::NotFound, "APP_NOT_FOUND", "there is no app " + id + "; see appctl list", 0};
}

// The answer of a request that has been carried out already.
template <typename T>
std::optional<Answer<T>> Reconciler::replayed(
    const CallOptions& options, const std::function<T(const store::Replay&)>& answer) {
  if (options.request_id.empty()) return std::nullopt;
  auto found = store_->find_request(options.request_id);
  if (!found) return Answer<T>(std::move(found).error());
  if (!*found) return std::nullopt;
  const store::Replay& replay = **found;
  if (replay.fingerprint != options.fingerprint) {
    return Answer<T>(
        Error{ErrorCode::InvalidArgument, "REQUEST_ID_REUSED",
              "request_id " + options.request_id +
                  " belongs to a different request; send a new UUID with each new request",
              0});
  }
  return Answer<T>(answer(replay));
}

template std::optional<Answer<Upgraded>> Reconciler::replayed(
    const CallOptions&, const std::function<Upgraded(const store::Replay&)>&);
template std::optional<Answer<ShuttingDown>> Reconciler::replayed(
    const CallOptions&, const std::function<ShuttingDown(const store::Replay&)>&);
template std::optional<Answer<model::WorkerView>> Reconciler::replayed(
    const CallOptions&, const std::function<model::WorkerView(const store::Replay&)>&);
template std::optional<Answer<std::vector<model::AppView>>> Reconciler::replayed(
    const CallOptions&, const std::function<std::vector<model::AppView>(const store::Replay&)>&);
template std::optional<Answer<model::Token>> Reconciler::replayed(
    const CallOptions&, const std::function<model::Token(const store::Replay&)>&);
template std::optional<Answer<std::string>> Reconciler::replayed(
    const CallOptions&, const std::function<std::string(const store::Replay&)>&);
template std::optional<Answer<std::int32_t>> Reconciler::replayed(
    const CallOptions&, const std::function<std::int32_t(const store::Replay&)>&);
template std::optional<Answer<spdlog::level::level_enum>> Reconciler::replayed(
    const CallOptions&, const std::function<spdlog::level::level_enum(const store::Replay&)>&);

// The app as it is now, with the operation that the request began.
model::AppView Reconciler::replayed_view(const store::Replay& replay) const {
  auto it = apps_.find(replay.app);
  if (it == apps_.end()) return {};
  model::AppView seen = view(it->second, desired(it->second), runtime_);
  seen.record.operation = replay.operation;
  return seen;
}

model::Operation Reconciler::replayed_operation(const store::Replay& replay) const {
  const model::Operation* operation = book_.find(replay.operation);
  return operation != nullptr ? *operation : model::Operation{};
}

// Everything about a spec but its sockets. Of a field that could not be read, the spec has another
// value than its user wants: no rule that looks at it says anything about what is meant.
std::optional<Rejection> Reconciler::check_spec(const std::string& id, const model::AppSpec& spec,
                                                const std::vector<model::Violation>& unreadable) {
  std::vector<model::Violation> violations = unreadable;
  for (model::Violation& broken : model::validate(spec)) {
    const bool follows = std::any_of(unreadable.begin(), unreadable.end(), [&](const auto& field) {
      return model::is_about(broken, field.field);
    });
    if (!follows) violations.push_back(std::move(broken));
  }
  for (model::Violation& of_host : runtime::check_host(spec)) {
    const bool named = std::any_of(violations.begin(), violations.end(),
                                   [&](const auto& known) { return known.field == of_host.field; });
    if (!named) violations.push_back(std::move(of_host));
  }
  // It can be stopped without them.
  if (spec.require_limits && spec.run_mode == model::RunMode::Running) {
    const std::string lacking = runtime_.cgroups().lacking(runtime::limits_of(spec));
    if (!lacking.empty()) {
      violations.push_back(
          {"spec.require_limits", "this host does not keep the app's limits: " + lacking +
                                      ". Mend that, or turn it off to run the app without them"});
    }
  }
  for (const auto& [other_id, other] : apps_) {
    if (other_id == id) continue;
    for (const std::string& bind : spec.bind) {
      for (const std::string& taken : other.record.spec.bind) {
        if (same_place(bind, taken)) {
          violations.push_back(
              {"spec.bind", bind + " belongs to the app " + other_id + "; choose another"});
        }
      }
    }
  }
  if (violations.empty()) return std::nullopt;
  return spec_invalid(std::move(violations));
}

std::optional<Rejection> Reconciler::check_edit(const AppEntry* app, const std::string& id,
                                                const CallOptions& options) {
  if (stops_seen_ > 0) return Rejection{shutting_down(), {}};
  if (app == nullptr) return Rejection{app_not_found(id), {}};
  if (app->record.deleting) {
    return Rejection{
        {ErrorCode::FailedPrecondition, "APP_DELETING", "the app " + id + " is being deleted", 0},
        {}};
  }
  if (!options.etag.empty() && options.etag != app->record.etag()) {
    return Rejection{{ErrorCode::Aborted, "ETAG_MISMATCH",
                      "the app " + id + " has changed since: its etag is " + app->record.etag() +
                          ", the request says " + options.etag + "; read it again and decide anew",
                      0},
                     {},
                     {{"etag", app->record.etag()}}};
  }
  return std::nullopt;
}

// What this call is checked against and answered from is on disk, and in memory.
void Reconciler::make_room(const std::string& app, const CallOptions& options) {
  const bool meets = std::any_of(staged_.begin(), staged_.end(), [&](const Staged& other) {
    return other.app->record.id == app || (!options.request_id.empty() && other.change.request &&
                                           other.change.request->id == options.request_id);
  });
  if (meets) commit_staged();
}

void Reconciler::stage(AppEntry& app, model::AppRecord record, model::Operation operation,
                       const CallOptions& options, Deed deed,
                       std::function<void(const std::optional<Rejection>&)> done) {
  record.operation = operation.id;
  store::Change change;
  if (deed.revises) {
    operation.revision = ++record.revision;
    change.put_revision = new_revision(record, operation, options, deed.restores);
  }
  change.more_operations = book_.superseded_by(operation, deed.supersede_all, record.update_time);
  change.audit = audit_line(deed.words, options);
  change.request = answered_by(options, record.id, operation.id);
  change.put_app = std::move(record);
  change.put_operation = std::move(operation);
  staged_.push_back({&app, std::move(change), std::move(deed), std::move(done)});
}

// One transaction for all; only when it is on disk does memory follow, in the order of the calls.
void Reconciler::commit_staged() {
  if (staged_.empty()) return;
  std::vector<Staged> group = std::exchange(staged_, {});
  std::vector<store::Change> changes;
  for (Staged& staged : group) changes.push_back(std::move(staged.change));
  const auto stored = store_->commit_all(changes, system_clock::now());
  for (std::size_t i = 0; i < group.size(); ++i) {
    Staged& staged = group[i];
    staged.change = std::move(changes[i]);
    if (stored) {
      merge(staged);
      staged.done(std::nullopt);
      continue;
    }
    log_->error("cannot store a change app={} why=\"{}\"", staged.change.put_app->id,
                stored.error().message);
    if (staged.deed.listeners) staged.deed.listeners->abandon(staged.app->listeners);
    staged.done(Rejection{stored.error(), {}});
  }
}

void Reconciler::merge(Staged& staged) {
  AppEntry& app = *staged.app;
  const model::Operation& operation = *staged.change.put_operation;
  const bool was_running = app.desired().running();
  app.record = *std::move(staged.change.put_app);
  app.published.reset();  // watchers see what users set, too
  // Whoever changes something wants it tried now, not after the back-off of what was before.
  app.state.starts.reset();
  if (staged.deed.listeners) {
    if (was_running && !app.former_listeners) app.former_listeners = std::move(app.listeners);
    app.listeners = *std::move(staged.deed.listeners);
    app.state.listening = true;
  }
  if (staged.deed.socket_permissions) set_socket_permissions(app);
  if (staged.deed.other_mode) {
    app.state.failed_rollout = 0;
    app.state.failure.reset();
  }
  book_.add(operation, staged.change.more_operations);
  for (const model::Operation& ended : staged.change.more_operations) publish_operation(ended);
  publish_operation(operation);
  log_->info("change accepted app={} operation={} what=\"{}\"", app.record.id, operation.id,
             staged.change.audit);
  dirty_.insert(app.record.id);
  failpoint(operation.rollout != 0 ? "rollout.recorded" : "change.recorded");
}

Answer<model::AppView> Reconciler::do_create(const CreateApp& request) {
  auto replay = replayed<model::AppView>(
      request.options, [this](const store::Replay& r) { return replayed_view(r); });
  if (replay) return *replay;
  if (stops_seen_ > 0) return shutting_down();
  if (!model::valid_app_id(request.id)) {
    return spec_invalid({{"app_id",
                          "must be lower-case letters, digits and hyphens, at most 63, a letter "
                          "first and no hyphen last"}});
  }
  if (apps_.contains(request.id)) {
    return Error{ErrorCode::AlreadyExists, "APP_EXISTS",
                 "there is an app " + request.id + " already; change it with appctl set or apply",
                 0};
  }
  if (auto rejected = check_spec(request.id, request.spec, request.unreadable)) return *rejected;

  AppEntry app;
  app.record.id = request.id;
  app.record.uid = model::new_uuid();
  app.record.spec = request.spec;
  app.record.create_time = app.record.update_time = system_clock::now();
  if (app.desired().running()) {
    std::string refused;
    auto listeners = runtime::ListenerSet::open(request.spec, {}, &refused);
    if (!listeners) return bind_refused(std::move(listeners).error(), refused);
    app.listeners = *std::move(listeners);
    app.state.listening = true;
  }
  if (request.options.validate_only) {
    app.listeners.abandon({});
    return view(app, app.desired(), runtime_);
  }
  model::Operation operation =
      new_operation(app, app.record, model::OperationKind::Create, request.options);
  operation.rollout = app.record.rollout;
  model::AppRecord record = app.record;
  AppEntry& entry = apps_[request.id] = std::move(app);
  std::optional<Rejection> rejected;
  stage(entry, std::move(record), std::move(operation), request.options, {"created " + request.id},
        [&rejected](const auto& why) { rejected = why; });
  commit_staged();
  if (rejected) {
    entry.listeners.abandon({});
    apps_.erase(request.id);
    return *rejected;
  }
  return view(entry, desired(entry), runtime_);
}

void Reconciler::do_update(const UpdateApp& request, const Reply<model::AppView>& reply) {
  make_room(request.id, request.options);
  auto replay = replayed<model::AppView>(
      request.options, [this](const store::Replay& r) { return replayed_view(r); });
  if (replay) return reply(*replay);
  auto it = apps_.find(request.id);
  if (it == apps_.end() && request.allow_missing && request.options.etag.empty()) {
    CreateApp create{request.id, {}, {}, request.options};
    create.unreadable = request.edit(create.spec);
    commit_staged();
    return reply(do_create(create));
  }
  AppEntry* app = it == apps_.end() ? nullptr : &it->second;
  if (auto rejected = check_edit(app, request.id, request.options)) return reply(*rejected);

  Edit edit{app->record.spec, request.kind};
  edit.unreadable = request.edit(edit.spec);
  edit_spec(*app, std::move(edit), request.options, reply);
}

void Reconciler::edit_spec(AppEntry& app, Edit edit, const CallOptions& options,
                           const Reply<model::AppView>& reply) {
  model::AppRecord record = app.record;
  record.spec = std::move(edit.spec);
  const model::AppSpec& before = app.record.spec;
  if (record.spec.bind != before.bind) commit_staged();  // others may come to it, or leave it
  if (auto rejected = check_spec(record.id, record.spec, edit.unreadable)) {
    return reply(*rejected);
  }
  bool changed = record.spec != before;
  std::vector<std::string> other_values = changed_env(before, record.spec);
  bool was_running = app.desired().running();
  bool runs = record.spec.run_mode == model::RunMode::Running;
  bool other_mode = runs != was_running;
  bool new_rollout =
      edit.always_rollout || model::needs_rollout(before, record.spec, served_class(app.state));
  bool revises = changed || new_rollout;
  if (changed) ++record.generation;
  if (revises) {
    ++record.version;
    record.update_time = system_clock::now();
  }
  // Whoever starts an app starts the code that is there now, perhaps for the first time.
  if (other_mode && runs) record.run_once_rollout = 0;
  if (other_mode) record.failed_rollout = 0;
  if (new_rollout) {
    ++record.rollout;
    // Live settings since the last rollout are part of what serves now.
    if (core::converged(app.desired(), app.state)) record.last_good_spec = before;
  }

  // Sockets come first: a bind that cannot be had changes nothing.
  std::optional<runtime::ListenerSet> listeners;
  if (runs &&
      (record.spec.bind != before.bind || record.spec.backlog != before.backlog || !was_running)) {
    std::string refused;
    auto opened = runtime::ListenerSet::open(record.spec, app.listeners, &refused);
    if (!opened) return reply(bind_refused(std::move(opened).error(), refused));
    listeners = *std::move(opened);
  }
  if (options.validate_only) {
    if (listeners) listeners->abandon(app.listeners);
    model::AppObserved observed = observe(app, desired(app), runtime_);
    return reply(model::AppView{std::move(record), std::move(observed), std::move(other_values)});
  }

  model::Operation operation = new_operation(app, record, edit.kind, options);
  if (runs && (new_rollout || other_mode)) operation.rollout = record.rollout;
  Deed deed{"changed " + record.id, /*supersede_all=*/other_mode, revises, edit.restores};
  if (edit.restores != 0) {
    deed.words = "rolled back " + record.id + " to revision " + std::to_string(edit.restores);
  }
  deed.listeners = std::move(listeners);
  deed.socket_permissions = record.spec.unix_socket_mode != before.unix_socket_mode ||
                            record.spec.user != before.user || record.spec.group != before.group;
  deed.other_mode = other_mode;
  stage(app, std::move(record), std::move(operation), options, std::move(deed),
        [this, &app, reply, other_values = std::move(other_values)](const auto& rejected) {
          if (rejected) return reply(*rejected);
          model::AppView seen = view(app, desired(app), runtime_);
          seen.changed_env = other_values;
          reply(std::move(seen));
        });
}

void Reconciler::do_reload(const ReloadApp& request, const Reply<model::Operation>& reply) {
  make_room(request.id, request.options);
  auto replay = replayed<model::Operation>(
      request.options, [this](const store::Replay& r) { return replayed_operation(r); });
  if (replay) return reply(*replay);
  auto it = apps_.find(request.id);
  AppEntry* app = it == apps_.end() ? nullptr : &it->second;
  if (auto rejected = check_edit(app, request.id, request.options)) return reply(*rejected);
  if (!app->desired().running()) {
    return reply(Error{ErrorCode::FailedPrecondition, "APP_STOPPED",
                       "the app " + request.id + " is stopped; appctl start loads its present code",
                       0});
  }
  model::AppRecord record = app->record;
  ++record.rollout;
  ++record.version;
  record.update_time = system_clock::now();
  model::Operation operation =
      new_operation(*app, record, model::OperationKind::Reload, request.options);
  operation.rollout = record.rollout;
  stage(*app, std::move(record), operation, request.options, {"reloaded " + request.id},
        answer_with(operation.id, reply));
}

void Reconciler::do_delete(const DeleteApp& request, const Reply<model::Operation>& reply) {
  make_room(request.id, request.options);
  auto replay = replayed<model::Operation>(
      request.options, [this](const store::Replay& r) { return replayed_operation(r); });
  if (replay) return reply(*replay);
  auto it = apps_.find(request.id);
  AppEntry* app = it == apps_.end() ? nullptr : &it->second;
  if (app == nullptr && request.allow_missing) return reply(model::Operation{});
  if (auto rejected = check_edit(app, request.id, request.options)) return reply(*rejected);
  model::AppRecord record = app->record;
  record.deleting = true;
  ++record.version;
  record.update_time = system_clock::now();
  model::Operation operation =
      new_operation(*app, record, model::OperationKind::Delete, request.options);
  stage(*app, std::move(record), operation, request.options,
        {"deleted " + request.id, /*supersede_all=*/true, /*revises=*/false},
        answer_with(operation.id, reply));
}

// Of a staged change whose caller is to get its operation.
std::function<void(const std::optional<Rejection>&)> Reconciler::answer_with(
    const std::string& operation, const Reply<model::Operation>& reply) {
  return [this, operation, reply](const std::optional<Rejection>& rejected) {
    if (rejected) return reply(*rejected);
    reply(*book_.find(operation));
  };
}

void Reconciler::create_app(CreateApp request, Reply<model::AppView> reply) {
  post([this, request = std::move(request), reply = std::move(reply)] {
    reply(do_create(request));
    failpoint("change.answered");
  });
}

void Reconciler::update_app(UpdateApp request, Reply<model::AppView> reply) {
  post_beside([this, request = std::move(request), reply = answered(std::move(reply))] {
    do_update(request, reply);
  });
}

void Reconciler::reload_app(ReloadApp request, Reply<model::Operation> reply) {
  post_beside([this, request = std::move(request), reply = answered(std::move(reply))] {
    do_reload(request, reply);
  });
}

void Reconciler::delete_app(DeleteApp request, Reply<model::Operation> reply) {
  post_beside([this, request = std::move(request), reply = answered(std::move(reply))] {
    do_delete(request, reply);
  });
}

}  // namespace appd::reconcile
