// apply: makes apps what a manifest says. Everything is read and checked, here and by appd
// (validate_only), before the first app is changed; so a manifest with a mistake changes nothing.
#include <filesystem>
#include <memory>

#include "ctl/commands/options.h"
#include "ctl/files.h"
#include "ctl/json.h"
#include "ctl/manifest.h"
#include "ctl/render.h"
#include "ctl/verbs.h"

namespace appd::ctl {
namespace {

using Clock = std::chrono::steady_clock;

struct Options {
  std::string file;
  bool dry_run = false;
  ChangeOptions change;
};

// What one app of the manifest comes to.
struct Plan {
  const ManifestApp* wanted = nullptr;
  std::optional<v1::App> before;  // absent: the app is new
  v1::App after;                  // as appd would have it
  std::vector<FieldChange> changes;

  bool changes_something() const { return !before || !changes.empty(); }
};

constexpr std::size_t kLargestManifest = 16 << 20;

v1::UpdateAppRequest update_request(const ManifestApp& wanted, const ChangeOptions& change) {
  v1::UpdateAppRequest request;
  request.mutable_app()->set_name("apps/" + wanted.id);
  request.mutable_app()->set_etag(change.etag);
  *request.mutable_app()->mutable_spec() = wanted.spec;
  request.mutable_update_mask()->add_paths("*");
  request.set_allow_missing(change.etag.empty());
  request.set_reason(change.reason);
  return request;
}

// Violations are shown where the manifest sets the field.
ErrorContext context_of(const std::string& doing, const Manifest& manifest,
                        const ManifestApp& wanted) {
  const auto place = [&manifest, &wanted](const std::string& path) {
    const std::string field(field_of(path));
    const auto found = wanted.fields.find(field);
    const int line = found == wanted.fields.end() ? wanted.at.line : found->second.line;
    return manifest.file + ":" + std::to_string(line) + ": " + (field.empty() ? path : field);
  };
  return {doing + " " + wanted.id, wanted.id, "", place};
}

// What appd has and would have; changes nothing. Mistakes of all apps are shown, not the first
// only.
ExitCode make_plans(Session& session, const Manifest& manifest, const ChangeOptions& change,
                    std::vector<Plan>& plans) {
  ExitCode worst = ExitCode::Done;
  for (const ManifestApp& wanted : manifest.apps) {
    const ErrorContext context = context_of("apply", manifest, wanted);
    Plan plan;
    plan.wanted = &wanted;
    v1::GetAppRequest get;
    get.set_name("apps/" + wanted.id);
    Outcome<v1::App> before = session.client().get_app(get);
    if (before) {
      plan.before = *before;
    } else if (before.error().code != Code::NotFound) {
      return session.fail(before.error(), context);
    }
    v1::UpdateAppRequest request = update_request(wanted, change);
    request.set_validate_only(true);
    request.set_request_id(new_request_id());
    Outcome<v1::App> after = session.client().update_app(request);
    if (!after) {
      const ExitCode code = session.fail(after.error(), context);
      if (code == ExitCode::Unreachable) return code;
      if (worst == ExitCode::Done) worst = code;
      continue;
    }
    note_limits(session, *after);
    plan.after = *after;
    plan.changes = diff(plan.before ? plan.before->spec() : v1::AppSpec(), *after);
    plans.push_back(std::move(plan));
  }
  if (worst != ExitCode::Done) session.note("nothing was changed");
  return worst;
}

ExitCode print_apps(Session& session, const std::vector<v1::App>& apps) {
  const JsonPart parts[] = {{"apps", to_json_list(apps)}};
  return session.print_json(join_json(parts));
}

ExitCode show_plans(Session& session, const std::vector<Plan>& plans) {
  if (session.json()) {
    std::vector<v1::App> apps;
    apps.reserve(plans.size());
    for (const Plan& plan : plans) apps.push_back(plan.after);
    return print_apps(session, apps);
  }
  for (const Plan& plan : plans) {
    const char* verdict = !plan.before ? "would be created" : "would be changed";
    session.print(escape_line(plan.wanted->id) + ": " +
                  (plan.changes_something() ? verdict : "unchanged") + "\n");
    session.print(render_diff(plan.changes, session.io().out_style));
  }
  return ExitCode::Done;
}

struct Started {
  const Plan* plan;
  Change change;
  v1::Operation operation;
};

// Sends every change, so that the apps come up side by side; stops at the first that is refused.
ExitCode start_changes(Session& session, const Manifest& manifest, const std::vector<Plan>& plans,
                       const ChangeOptions& change, std::vector<Started>& started) {
  for (const Plan& plan : plans) {
    if (!plan.changes_something()) continue;
    v1::UpdateAppRequest request = update_request(*plan.wanted, change);
    // One id is for one change: the manifest has one app if the user chose it.
    request.set_request_id(started.empty() ? change.request_id : new_request_id());
    const Clock::time_point began = Clock::now();
    Outcome<v1::App> app = session.client().update_app(request);
    if (!app) return session.fail(app.error(), context_of("apply", manifest, *plan.wanted));
    Started next{&plan, {}, {}};
    next.change = {"apply " + plan.wanted->id,
                   plan.wanted->id,
                   plan.before ? "changed" : "created",
                   std::nullopt,
                   began,
                   std::nullopt};
    if (plan.before) next.change.ready_before = plan.before->observed().ready_workers();
    next.operation.set_name(app->operation());
    next.operation.set_app(app->name());
    started.push_back(std::move(next));
  }
  return ExitCode::Done;
}

// The apps as they are now, for -o json.
ExitCode print_present(Session& session, const std::vector<Plan>& plans) {
  std::vector<v1::App> apps;
  for (const Plan& plan : plans) {
    v1::GetAppRequest get;
    get.set_name("apps/" + plan.wanted->id);
    Outcome<v1::App> app = session.client().get_app(get);
    if (!app) return session.fail(app.error(), {"get " + plan.wanted->id, plan.wanted->id, "", {}});
    apps.push_back(*std::move(app));
  }
  return print_apps(session, apps);
}

ExitCode carry_out(Session& session, const Manifest& manifest, const std::vector<Plan>& plans,
                   const ChangeOptions& change) {
  for (const Plan& plan : plans) {
    if (plan.changes_something() || session.json()) continue;
    session.print(escape_line(plan.wanted->id) + ": unchanged\n");
  }
  std::vector<Started> started;
  ExitCode first_failure = start_changes(session, manifest, plans, change, started);
  for (Started& each : started) {
    if (change.no_wait) {
      if (!session.json()) session.print(escape_line(each.operation.name()) + "\n");
      continue;
    }
    const ExitCode code = await_end(session, each.change, change, each.operation);
    if (first_failure == ExitCode::Done) first_failure = code;
  }
  if (!session.json() || first_failure == ExitCode::Unreachable) return first_failure;
  const ExitCode printed = print_present(session, plans);
  return first_failure == ExitCode::Done ? printed : first_failure;
}

ExitCode apply(Session& session, const Options& options, bool request_id_given) {
  const bool is_stdin = options.file == "-";
  const Result<std::string> text = is_stdin ? read_all(session.io().in, "stdin", kLargestManifest)
                                            : read_file(options.file, kLargestManifest);
  if (!text) {
    return session.fail(usage_error(text.error().message), {"apply the manifest", "", "", {}});
  }
  const std::string folder =
      is_stdin ? session.io().directory
               : std::filesystem::path(absolute_path(options.file, session.io().directory))
                     .parent_path()
                     .string();
  const Manifest manifest =
      parse_manifest(*text, guess_format(options.file, *text), is_stdin ? "<stdin>" : options.file,
                     folder, session.io().environment);
  if (!manifest.problems.empty()) {
    session.complain(render_problems(manifest, *text));
    session.note("nothing was changed");
    return ExitCode::Usage;
  }
  if (manifest.apps.size() > 1 && (!options.change.etag.empty() || request_id_given)) {
    return session.fail(usage_error("--etag and --request-id are for a manifest with one app"),
                        {"apply the manifest", "", "", {}});
  }
  std::vector<Plan> plans;
  const ExitCode code = make_plans(session, manifest, options.change, plans);
  if (code != ExitCode::Done) return code;
  if (options.dry_run) return show_plans(session, plans);
  return carry_out(session, manifest, plans, options.change);
}

}  // namespace

void add_apply(CLI::App& command, Action& action) {
  auto options = std::make_shared<Options>();
  command.add_option("-f,--file", options->file, "the manifest, TOML or JSON; - is stdin")
      ->type_name("FILE")
      ->required();
  command.add_flag("--dry-run", options->dry_run, "show what would change, change nothing");
  add_change_options(command, options->change);
  CLI::Option* request_id = command.get_option("--request-id");
  command.callback([options, request_id, &action] {
    action = [options, given = request_id->count() > 0](Session& session) {
      return apply(session, *options, given);
    };
  });
}

}  // namespace appd::ctl
