// create, set, start and stop: changes of an app's spec, answered with the App.
#include <algorithm>
#include <memory>

#include "ctl/commands/options.h"
#include "ctl/render.h"
#include "ctl/verbs.h"

namespace appd::ctl {
namespace {

using Clock = std::chrono::steady_clock;

struct CreateOptions {
  std::string id;
  SpecFlags flags;
  ChangeOptions change;
};

struct SetOptions {
  std::string id;
  SpecFlags flags;
  std::vector<std::string> unset_env;
  std::vector<std::string> reset;
  ChangeOptions change;
};

v1::Operation operation_of(const v1::App& app) {
  v1::Operation operation;
  operation.set_name(app.operation());
  operation.set_app(app.name());
  return operation;
}

// Relative paths are the caller's, those of secrets too.
Outcome<v1::AppSpec> resolved(SpecFlags flags, const Io& io) {
  const Result<void> read = read_secrets(flags, io.directory);
  if (!read) return usage_error(read.error().message);
  const Result<void> done = resolve_paths(flags.spec, io.directory, io.environment);
  if (!done) return usage_error("--" + done.error().reason + ": " + done.error().message);
  return std::move(flags.spec);
}

ExitCode create(Session& session, const CreateOptions& options) {
  const std::string doing = "create " + options.id;
  const v1::AppSpec& given = options.flags.spec;
  if (given.command().empty() && (given.app().empty() || given.bind().empty())) {
    return session.fail(
        usage_error("an app needs --app and --bind, a pool of commands needs --command"),
        {doing, options.id, "", {}});
  }
  Outcome<v1::AppSpec> spec = resolved(options.flags, session.io());
  if (!spec) return session.fail(spec.error(), {doing, options.id, "", {}});
  v1::CreateAppRequest request;
  request.set_app_id(options.id);
  *request.mutable_app()->mutable_spec() = *spec;
  request.set_request_id(options.change.request_id);
  request.set_reason(options.change.reason);
  const Clock::time_point began = Clock::now();
  Outcome<v1::App> app = session.client().create_app(request);
  if (!app) return session.fail(app.error(), {doing, options.id, "", {}});
  return finish_change(session, {doing, options.id, "created", std::nullopt, began, *app},
                       options.change, operation_of(*app));
}

// "timeout: 30s → 45s, env.LANG added"
std::string describe(const std::vector<FieldChange>& changes) {
  std::string text;
  for (const FieldChange& change : changes) {
    text += (text.empty() ? "" : ", ") + change.field;
    if (change.hidden) {
      text += !change.from ? " added" : !change.to ? " removed" : " changed";
    } else {
      text += ": " + change.from.value_or("none") + " → " + change.to.value_or("none");
    }
  }
  return text;
}

// One UpdateApp of an app that is looked at first, to say what changed. Of a repeat with the same
// request_id nothing has, but its operation is the first one's: that one's end is told.
ExitCode update(Session& session, const std::string& doing, v1::UpdateAppRequest request,
                const ChangeOptions& options, const std::string& what) {
  const std::string id(short_name(request.app().name()));
  const Clock::time_point began = Clock::now();
  v1::GetAppRequest get;
  get.set_name(request.app().name());
  Outcome<v1::App> before = session.client().get_app(get);
  if (!before) return session.fail(before.error(), {doing, id, "", {}});
  request.mutable_app()->set_etag(options.etag);
  request.set_request_id(options.request_id);
  request.set_reason(options.reason);
  Outcome<v1::App> after = session.client().update_app(request);
  if (!after) return session.fail(after.error(), {doing, id, "", {}});

  const std::vector<FieldChange> changes = diff(before->spec(), *after);
  const std::string told = changes.empty() ? "unchanged" : describe(changes);
  Change change{doing, id,    what.empty() ? told : what, before->observed().ready_workers(),
                began, *after};
  return finish_change(session, change, options, operation_of(*after));
}

ExitCode set(Session& session, const SetOptions& options) {
  const std::string doing = "set " + options.id;
  const ErrorContext context{doing, options.id, "", {}};
  if (options.flags.given.empty() && options.flags.secrets.empty() && options.unset_env.empty() &&
      options.reset.empty()) {
    return session.fail(usage_error("name at least one setting; see appctl set --help"), context);
  }
  Outcome<v1::AppSpec> spec = resolved(options.flags, session.io());
  if (!spec) return session.fail(spec.error(), context);
  v1::UpdateAppRequest request;
  request.mutable_app()->set_name("apps/" + options.id);
  *request.mutable_app()->mutable_spec() = *spec;
  const auto add_path = [&](const std::string& field) {
    request.mutable_update_mask()->add_paths("spec." + field);
  };
  for (const SpecField* field : options.flags.given) {
    if (field->name != "env") add_path(std::string(field->name));
  }
  for (const auto& variable : spec->env()) add_path("env." + variable.first);
  // In the mask but not in the spec: to be deleted, or to be as if it had never been set.
  for (const std::string& name : options.unset_env) add_path("env." + name);
  for (const std::string& name : options.reset) {
    const SpecField* field = find_spec_field(name);
    if (is_set(*spec, *field)) {
      return session.fail(usage_error(name + " cannot be set and reset at once"), context);
    }
    add_path(name);
  }
  return update(session, doing, std::move(request), options.change, "");
}

// start and stop: the same edit of spec.run_mode.
ExitCode set_run_mode(Session& session, const std::string& id, v1::AppSpec::RunMode mode,
                      const ChangeOptions& options) {
  v1::UpdateAppRequest request;
  request.mutable_app()->set_name("apps/" + id);
  request.mutable_app()->mutable_spec()->set_run_mode(mode);
  request.mutable_update_mask()->add_paths("spec.run_mode");
  const bool start = mode == v1::AppSpec::RUNNING;
  return update(session, (start ? "start " : "stop ") + id, std::move(request), options,
                start ? "started" : "stopped");
}

void add_run_mode_verb(CLI::App& command, Action& action, v1::AppSpec::RunMode mode) {
  struct Options {
    std::string id;
    ChangeOptions change;
  };
  auto options = std::make_shared<Options>();
  add_name(command, options->id)->required();
  add_change_options(command, options->change);
  command.callback([options, mode, &action] {
    action = [options, mode](Session& session) {
      return set_run_mode(session, options->id, mode, options->change);
    };
  });
}

}  // namespace

void add_create(CLI::App& command, Action& action) {
  auto options = std::make_shared<CreateOptions>();
  add_name(command, options->id)->required();
  add_spec_flags(command, options->flags);
  command.get_option("--directory")->required();
  add_change_options(command, options->change);
  // There is nothing yet that could carry an etag.
  command.remove_option(command.get_option("--etag"));
  command.callback([options, &action] {
    action = [options](Session& session) { return create(session, *options); };
  });
}

void add_set(CLI::App& command, Action& action) {
  auto options = std::make_shared<SetOptions>();
  add_name(command, options->id)->required();
  add_spec_flags(command, options->flags);
  command.add_option("--unset-env", options->unset_env, "take a variable away; may be repeated")
      ->type_name("NAME")
      ->allow_extra_args(false)
      ->group("The app");
  std::vector<std::string> names;
  for (const std::string_view name : spec_field_names()) names.emplace_back(name);
  command.add_option("--reset", options->reset, "back to its default; may be repeated")
      ->type_name("FIELD")
      ->allow_extra_args(false)
      ->check(CLI::Validator(
          [](std::string& name) {
            return find_spec_field(name) == nullptr
                       ? "'" + name + "' is no setting; write it as `appctl get` does"
                       : std::string();
          },
          ""))
      ->group("The app");
  add_change_options(command, options->change);
  command.callback([options, &action] {
    action = [options](Session& session) { return set(session, *options); };
  });
}

void add_start(CLI::App& command, Action& action) {
  add_run_mode_verb(command, action, v1::AppSpec::RUNNING);
}

void add_stop(CLI::App& command, Action& action) {
  add_run_mode_verb(command, action, v1::AppSpec::STOPPED);
}

}  // namespace appd::ctl
