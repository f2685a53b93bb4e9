// get, list, status, workers, operations and version: looking without changing.
#include <google/protobuf/wrappers.pb.h>

#include <memory>
#include <optional>

#include "ctl/commands/options.h"
#include "ctl/json.h"
#include "ctl/render.h"
#include "ctl/verbs.h"

namespace appd::ctl {
namespace {

WallTime now() { return std::chrono::system_clock::now(); }

ExitCode get(Session& session, const std::string& id) {
  v1::GetAppRequest request;
  request.set_name("apps/" + id);
  Outcome<v1::App> app = session.client().get_app(request);
  if (!app) return session.fail(app.error(), {"get " + id, id, "", {}});
  if (session.json()) return session.print_json(*app);
  session.print(render_app(*app, now(), session.io().out_style));
  return ExitCode::Done;
}

ExitCode list(Session& session) {
  Outcome<v1::ListAppsResponse> apps = session.client().list_apps();
  if (!apps) return session.fail(apps.error(), {"list apps", "", "", {}});
  if (session.json()) return session.print_json(*apps);
  session.print(render_list(*apps, session.io().out_style));
  return ExitCode::Done;
}

ExitCode status(Session& session) {
  const ErrorContext context{"show the status", "", "", {}};
  Outcome<v1::ServerInfo> server = session.client().get_server_info();
  if (!server) return session.fail(server.error(), context);
  Outcome<v1::ListAppsResponse> apps = session.client().list_apps();
  if (!apps) return session.fail(apps.error(), context);
  Outcome<v1::ListWorkersResponse> workers = session.client().list_workers("apps/-");
  if (!workers) return session.fail(workers.error(), context);
  if (!session.json()) {
    session.print(render_status(*server, *apps, *workers, now(), session.io().out_style));
    return ExitCode::Done;
  }
  // No message of the API holds all three.
  const JsonPart parts[] = {{"server", to_json(*server, true)},
                            {"apps", to_json_list(apps->apps())},
                            {"workers", to_json_list(workers->workers())}};
  return session.print_json(join_json(parts));
}

struct WorkersOptions {
  std::string id;
  std::optional<std::string> dead;  // a certificate's number; empty: all
};

ExitCode death(Session& session, const WorkersOptions& options) {
  if (options.id.empty()) {
    return session.fail(usage_error("say of which app: appctl workers APP --dead " + *options.dead),
                        {"show a certificate", "", "", {}});
  }
  v1::GetDeathRequest request;
  request.set_name("apps/" + options.id + "/deaths/" + *options.dead);
  Outcome<v1::Death> found = session.client().get_death(request);
  if (!found) return session.fail(found.error(), {"show " + request.name(), options.id, "", {}});
  if (session.json()) return session.print_json(*found);
  session.print(render_death(*found, now(), session.io().out_style));
  return ExitCode::Done;
}

ExitCode deaths(Session& session, const WorkersOptions& options) {
  if (!options.dead->empty()) return death(session, options);
  const bool all = options.id.empty();
  v1::ListDeathsRequest request;
  request.set_parent("apps/" + (all ? "-" : options.id));
  // Whoever wants JSON wants everything.
  if (session.json()) request.set_view(v1::ListDeathsRequest::FULL);
  Outcome<v1::ListDeathsResponse> found = session.client().list_deaths(request);
  if (!found) {
    return session.fail(found.error(),
                        {"list the dead workers of " + options.id, options.id, "", {}});
  }
  if (session.json()) return session.print_json(*found);
  session.print(render_deaths(*found, all, now(), session.io().out_style));
  return ExitCode::Done;
}

ExitCode workers(Session& session, const WorkersOptions& options) {
  if (options.dead) return deaths(session, options);
  const std::string& id = options.id;
  const bool all = id.empty();
  Outcome<v1::ListWorkersResponse> found =
      session.client().list_workers("apps/" + (all ? "-" : id));
  if (!found) return session.fail(found.error(), {"list the workers of " + id, id, "", {}});
  if (session.json()) return session.print_json(*found);
  session.print(render_workers(*found, all, now(), session.io().out_style));
  return ExitCode::Done;
}

ExitCode operations(Session& session, const std::string& id) {
  Outcome<v1::ListOperationsResponse> found =
      session.client().list_operations(id.empty() ? "" : "apps/" + id);
  if (!found) return session.fail(found.error(), {"list operations", id, "", {}});
  if (session.json()) return session.print_json(*found);
  session.print(render_operations(*found, now(), session.io().out_style));
  return ExitCode::Done;
}

// What is known without appd comes first, so that it is printed even when appd is not there.
ExitCode version(Session& session) {
  if (!session.json()) session.print("appctl " APPD_VERSION "\n");
  Outcome<v1::ServerInfo> server = session.client().get_server_info();
  if (!server) return session.fail(server.error(), {"ask appd for its version", "", "", {}});
  if (!session.json()) {
    session.print("appd " + escape_line(server->version()) + " (pid " +
                  std::to_string(server->pid()) + ", " + session.address() + ")\n");
    return ExitCode::Done;
  }
  google::protobuf::StringValue client;
  client.set_value(APPD_VERSION);
  const JsonPart parts[] = {{"client_version", to_json(client, true)},
                            {"server", to_json(*server, true)}};
  return session.print_json(join_json(parts));
}

void add_plain(CLI::App& command, Action& action, ExitCode (*run)(Session&)) {
  command.callback([run, &action] { action = run; });
}

CLI::Option* add_named(CLI::App& command, Action& action,
                       ExitCode (*run)(Session&, const std::string&)) {
  auto id = std::make_shared<std::string>();
  command.callback(
      [id, run, &action] { action = [id, run](Session& session) { return run(session, *id); }; });
  return add_name(command, *id);
}

}  // namespace

void add_get(CLI::App& command, Action& action) { add_named(command, action, get)->required(); }
void add_list(CLI::App& command, Action& action) { add_plain(command, action, list); }
void add_status(CLI::App& command, Action& action) { add_plain(command, action, status); }
void add_workers(CLI::App& command, Action& action) {
  auto options = std::make_shared<WorkersOptions>();
  add_name(command, options->id)->description("the app's name (default: all apps)");
  command
      .add_option_function<std::vector<std::string>>(
          "--dead",
          [options](const std::vector<std::string>& given) {
            options->dead = given.empty() ? "" : given.front();
          },
          "those that have died, and why; with a number that certificate in full")
      ->type_name("[ID]")
      ->expected(0, 1);
  command.callback([options, &action] {
    action = [options](Session& session) { return workers(session, *options); };
  });
}
void add_operations(CLI::App& command, Action& action) {
  add_named(command, action, operations)->description("the app's name (default: all apps)");
}
void add_version(CLI::App& command, Action& action) { add_plain(command, action, version); }

}  // namespace appd::ctl
