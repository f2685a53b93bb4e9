// backup and restore: the state as a whole, while appd runs. The files are read and written by
// appd, so that what is secret in them stays its user's.
#include <memory>

#include "ctl/commands/options.h"
#include "ctl/doctor/check.h"
#include "ctl/json.h"
#include "ctl/render.h"
#include "ctl/verbs.h"

namespace appd::ctl {
namespace {

using Clock = std::chrono::steady_clock;

ExitCode backup(Session& session, const std::string& file) {
  v1::BackupStateRequest request;
  request.set_path(absolute_path(file, session.io().directory));
  Outcome<v1::BackupStateResponse> made = session.client().backup_state(request);
  if (!made) return session.fail(made.error(), {"back the state up", "", "", {}});
  if (session.json()) return session.print_json(*made);
  session.print(escape_line(made->path()) + ": " + std::to_string(made->apps()) +
                (made->apps() == 1 ? " app, " : " apps, ") +
                bytes_text(static_cast<std::uint64_t>(made->size())) +
                ", with the values of environment variables\n");
  return ExitCode::Done;
}

struct RestoreOptions {
  std::string file;
  bool dry_run = false;
  ChangeOptions change;
};

ExitCode restore(Session& session, const RestoreOptions& options) {
  v1::RestoreStateRequest request;
  request.set_path(absolute_path(options.file, session.io().directory));
  request.set_validate_only(options.dry_run);
  request.set_request_id(options.change.request_id);
  request.set_reason(options.change.reason);
  const Clock::time_point began = Clock::now();
  Outcome<v1::RestoreStateResponse> restored = session.client().restore_state(request);
  if (!restored) {
    // What is wrong is told by app and field, which no flag sets here.
    const auto place = [](const std::string& path) { return path; };
    const ExitCode code = session.fail(restored.error(), {"restore the state", "", "", place});
    session.note("nothing was restored");
    return code;
  }
  ExitCode code = ExitCode::Done;
  for (const v1::App& app : restored->apps()) {
    const std::string id(short_name(app.name()));
    if (options.dry_run || options.change.no_wait) {
      if (!session.json()) {
        session.print((options.dry_run ? escape_line(id) + ": would be restored"
                                       : escape_line(app.operation())) +
                      "\n");
      }
      continue;
    }
    v1::Operation operation;
    operation.set_name(app.operation());
    operation.set_app(app.name());
    const Change change{"restore " + id, id, "restored", std::nullopt, began, std::nullopt};
    const ExitCode one = await_end(session, change, options.change, operation);
    if (code == ExitCode::Done) code = one;
  }
  if (!session.json()) return code;
  const ExitCode printed = session.print_json(*restored);
  return code == ExitCode::Done ? printed : code;
}

CLI::Option* add_file(CLI::App& command, std::string& file, const char* help) {
  return command.add_option("FILE", file, help)->type_name("")->required();
}

}  // namespace

void add_backup(CLI::App& command, Action& action) {
  auto file = std::make_shared<std::string>();
  add_file(command, *file, "a new file, on appd's host; it will be appd's user's alone");
  command.callback(
      [file, &action] { action = [file](Session& session) { return backup(session, *file); }; });
}

void add_restore(CLI::App& command, Action& action) {
  auto options = std::make_shared<RestoreOptions>();
  add_file(command, options->file, "what appctl backup has written, on appd's host");
  command.add_flag("--dry-run", options->dry_run, "check everything, change nothing");
  add_change_options(command, options->change);
  command.remove_option(command.get_option("--etag"));
  command.callback([options, &action] {
    action = [options](Session& session) { return restore(session, *options); };
  });
}

}  // namespace appd::ctl
