// scale, reload, delete, wait and cancel: calls that are answered with an Operation.
#include <memory>

#include "ctl/commands/options.h"
#include "ctl/render.h"
#include "ctl/verbs.h"

namespace appd::ctl {
namespace {

using Clock = std::chrono::steady_clock;

struct Options {
  std::string id;
  SpecFlags flags;
  bool allow_missing = false;
  ChangeOptions change;
};

ExitCode finish(Session& session, const std::string& doing, const std::string& what,
                const Options& options, Clock::time_point began, Outcome<v1::Operation> operation) {
  if (!operation) return session.fail(operation.error(), {doing, options.id, "", {}});
  // As the change begins, the operation still counts the workers of before.
  Change change{doing, options.id, what, std::nullopt, began, std::nullopt};
  if (!operation->done()) change.ready_before = operation->progress().ready_workers();
  return finish_change(session, change, options.change, *std::move(operation));
}

ExitCode scale(Session& session, const Options& options) {
  const std::string doing = "scale " + options.id;
  if (options.flags.given.empty()) {
    return session.fail(usage_error("say to what: --workers, --threads, --worker-class or "
                                    "--worker-connections"),
                        {doing, options.id, "", {}});
  }
  const v1::AppSpec& spec = options.flags.spec;
  v1::ScaleAppRequest request;
  request.set_name("apps/" + options.id);
  if (spec.has_workers()) request.set_workers(spec.workers());
  if (spec.has_threads()) request.set_threads(spec.threads());
  request.set_worker_class(spec.worker_class());
  if (spec.has_worker_connections()) request.set_worker_connections(spec.worker_connections());
  request.set_etag(options.change.etag);
  request.set_request_id(options.change.request_id);
  request.set_reason(options.change.reason);
  const Clock::time_point began = Clock::now();
  return finish(session, doing, "", options, began, session.client().scale_app(request));
}

ExitCode reload(Session& session, const Options& options) {
  v1::ReloadAppRequest request;
  request.set_name("apps/" + options.id);
  request.set_etag(options.change.etag);
  request.set_request_id(options.change.request_id);
  request.set_reason(options.change.reason);
  const Clock::time_point began = Clock::now();
  return finish(session, "reload " + options.id, "reloaded", options, began,
                session.client().reload_app(request));
}

ExitCode remove(Session& session, const Options& options) {
  const std::string doing = "delete " + options.id;
  v1::DeleteAppRequest request;
  request.set_name("apps/" + options.id);
  request.set_etag(options.change.etag);
  request.set_request_id(options.change.request_id);
  request.set_reason(options.change.reason);
  request.set_allow_missing(options.allow_missing);
  const Clock::time_point began = Clock::now();
  Outcome<v1::Operation> operation = session.client().delete_app(request);
  if (operation && operation->name().empty()) {
    if (session.json()) return session.print_json(*operation);
    session.print(escape_line(options.id) + ": not there\n");
    return ExitCode::Done;
  }
  return finish(session, doing, "deleted", options, began, std::move(operation));
}

struct WaitOptions {
  std::string operation;
  ChangeOptions change;
};

// "operations/{uuid}"; the uuid alone will do.
std::string operation_name(const std::string& given) {
  constexpr std::string_view kPrefix = "operations/";
  return given.rfind(kPrefix, 0) == 0 ? given : std::string(kPrefix) + given;
}

ExitCode wait(Session& session, const WaitOptions& options) {
  v1::GetOperationRequest request;
  request.set_name(operation_name(options.operation));
  const Clock::time_point began = Clock::now();
  Outcome<v1::Operation> operation = session.client().get_operation(request);
  const std::string doing = "wait for " + request.name();
  if (!operation) return session.fail(operation.error(), {doing, "", "", {}});
  const std::string what = words(v1::Operation::Kind_Name(operation->kind())) + " " + "succeeded";
  const std::string app(short_name(operation->app()));
  return finish_change(session, {doing, app, what, std::nullopt, began, std::nullopt},
                       options.change, *std::move(operation));
}

struct CancelOptions {
  std::string operation;
  std::string request_id;
  std::string reason;
};

ExitCode cancel(Session& session, const CancelOptions& options) {
  v1::CancelOperationRequest request;
  request.set_name(operation_name(options.operation));
  request.set_request_id(options.request_id);
  request.set_reason(options.reason);
  const ErrorContext context{"cancel " + request.name(), "", "", {}};
  Outcome<v1::Operation> operation = session.client().cancel_operation(request);
  if (!operation) return session.fail(operation.error(), context);
  if (session.json()) return session.print_json(*operation);
  const std::int32_t workers = operation->progress().ready_workers();
  session.print(escape_line(short_name(operation->app())) + ": " +
                words(v1::Operation::Kind_Name(operation->kind())) + " cancelled; " +
                std::to_string(workers) + (workers == 1 ? " worker serves" : " workers serve") +
                " on as before\n");
  return ExitCode::Done;
}

// The parts that scale, reload and delete have in common.
std::shared_ptr<Options> add_common(CLI::App& command, Action& action,
                                    ExitCode (*run)(Session&, const Options&)) {
  auto options = std::make_shared<Options>();
  add_name(command, options->id)->required();
  command.callback([options, run, &action] {
    action = [options, run](Session& session) { return run(session, *options); };
  });
  return options;
}

}  // namespace

void add_scale(CLI::App& command, Action& action) {
  const auto options = add_common(command, action, scale);
  add_spec_flags(command, options->flags,
                 {"workers", "threads", "worker_class", "worker_connections"});
  add_change_options(command, options->change);
}

void add_reload(CLI::App& command, Action& action) {
  const auto options = add_common(command, action, reload);
  add_change_options(command, options->change);
}

void add_delete(CLI::App& command, Action& action) {
  const auto options = add_common(command, action, remove);
  command.add_flag("--allow-missing", options->allow_missing,
                   "deleting what is not there is a success");
  add_change_options(command, options->change);
}

void add_wait(CLI::App& command, Action& action) {
  auto options = std::make_shared<WaitOptions>();
  command.add_option("OPERATION", options->operation, "as --no-wait printed it")
      ->type_name("")
      ->required();
  add_duration(command, "--wait-timeout", options->change.wait_timeout,
               "give up waiting after this, with exit code 1");
  command.callback([options, &action] {
    action = [options](Session& session) { return wait(session, *options); };
  });
}

void add_cancel(CLI::App& command, Action& action) {
  auto options = std::make_shared<CancelOptions>();
  command
      .add_option("OPERATION", options->operation,
                  "as --no-wait, Ctrl-C and `appctl operations` show it")
      ->type_name("")
      ->required();
  add_call_options(command, options->request_id, options->reason);
  command.callback([options, &action] {
    action = [options](Session& session) { return cancel(session, *options); };
  });
}

}  // namespace appd::ctl
