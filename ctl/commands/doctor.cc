// doctor: what is wrong with the host and the apps, and what to do. Looks at the host even when
// there is no appd to ask.
#include <algorithm>
#include <memory>

#include "ctl/commands/options.h"
#include "ctl/doctor/check.h"
#include "ctl/render.h"
#include "ctl/verbs.h"

namespace appd::ctl {
namespace {

// What appd knows; the error of the first call that fails.
std::optional<CallError> ask(Session& session, const std::string& id, Known& known) {
  Outcome<v1::ServerInfo> server = session.client().get_server_info();
  if (!server) return server.error();
  if (id.empty()) {
    Outcome<v1::ListAppsResponse> apps = session.client().list_apps();
    if (!apps) return apps.error();
    known.apps = {apps->apps().begin(), apps->apps().end()};
  } else {
    v1::GetAppRequest request;
    request.set_name("apps/" + id);
    Outcome<v1::App> app = session.client().get_app(request);
    if (!app) return app.error();
    known.apps = {*app};
  }
  Outcome<v1::ListWorkersResponse> workers = session.client().list_workers("apps/-");
  if (!workers) return workers.error();
  known.workers = {workers->workers().begin(), workers->workers().end()};
  known.server = *server;
  return std::nullopt;
}

ExitCode doctor(Session& session, const std::string& id) {
  Known known;
  const std::optional<CallError> error = ask(session, id, known);
  ExitCode code = ExitCode::Done;
  if (error) code = session.fail(*error, {"ask appd", id, "", {}});
  if (error && error->unreachable.empty()) return code;  // it is there, and refuses
  Checks checks = check_host(known, "");
  for (const v1::App& app : known.apps) {
    const Checks own = check_app(app, known);
    checks.insert(checks.end(), own.begin(), own.end());
  }
  const bool failed = std::any_of(checks.begin(), checks.end(), [](const Check& check) {
    return check.verdict == Verdict::Fail;
  });
  if (code == ExitCode::Done && failed) code = ExitCode::Failed;
  if (session.json()) {
    const ExitCode printed = session.print_json(Result<std::string>(checks_json(checks)));
    return code == ExitCode::Done ? printed : code;
  }
  session.print(render_checks(checks, session.io().out_style));
  return code;
}

}  // namespace

void add_doctor(CLI::App& command, Action& action) {
  auto id = std::make_shared<std::string>();
  add_name(command, *id)->description("only this app and the host (default: all apps)");
  command.callback(
      [id, &action] { action = [id](Session& session) { return doctor(session, *id); }; });
}

}  // namespace appd::ctl
