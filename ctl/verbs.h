// The table of verbs: one entry a verb, each with a function that adds its arguments to CLI11's
// parser and names what is to be done.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <memory>
#include <span>

#include "ctl/exit_code.h"
#include "ctl/session.h"

namespace appd::ctl {

using Action = std::function<ExitCode(Session&)>;

struct Verb {
  const char* name;
  const char* group;
  bool changes;  // something may go on when the caller gives up
  const char* summary;
  const char* example;
  // Adds arguments; once they are parsed, `action` is what the verb does.
  void (*add)(CLI::App& command, Action& action);
  bool local = false;  // asks no appd
};

std::span<const Verb> verbs();

void add_create(CLI::App& command, Action& action);
void add_set(CLI::App& command, Action& action);
void add_start(CLI::App& command, Action& action);
void add_stop(CLI::App& command, Action& action);
void add_scale(CLI::App& command, Action& action);
void add_reload(CLI::App& command, Action& action);
void add_rollback(CLI::App& command, Action& action);
void add_delete(CLI::App& command, Action& action);
void add_apply(CLI::App& command, Action& action);
void add_get(CLI::App& command, Action& action);
void add_list(CLI::App& command, Action& action);
void add_top(CLI::App& command, Action& action);
void add_status(CLI::App& command, Action& action);
void add_workers(CLI::App& command, Action& action);
void add_stacks(CLI::App& command, Action& action);
void add_requests(CLI::App& command, Action& action);
void add_recycle(CLI::App& command, Action& action);
void add_operations(CLI::App& command, Action& action);
void add_history(CLI::App& command, Action& action);
void add_diff(CLI::App& command, Action& action);
void add_cancel(CLI::App& command, Action& action);
void add_wait(CLI::App& command, Action& action);
void add_events(CLI::App& command, Action& action);
void add_logs(CLI::App& command, Action& action);
void add_reopen_logs(CLI::App& command, Action& action);
void add_doctor(CLI::App& command, Action& action);
void add_backup(CLI::App& command, Action& action);
void add_restore(CLI::App& command, Action& action);
void add_context(CLI::App& command, Action& action);
void add_completion(CLI::App& command, Action& action);
void add_man(CLI::App& command, Action& action);
void add_version(CLI::App& command, Action& action);
void add_upgrade(CLI::App& command, Action& action);
void add_shutdown(CLI::App& command, Action& action);
void add_token(CLI::App& command, Action& action);

// A verb below a verb, "token create": `run` gets what has been parsed into `options`.
template <typename Options>
CLI::App* add_part(CLI::App& command, Action& action, const std::shared_ptr<Options>& options,
                   const char* name, const char* summary,
                   ExitCode (*run)(Session&, const Options&)) {
  CLI::App* part = command.add_subcommand(name, summary);
  part->callback([options, run, &action] {
    action = [options, run](Session& session) { return run(session, *options); };
  });
  return part;
}

}  // namespace appd::ctl
