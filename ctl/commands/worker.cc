// stacks and recycle: what is asked of one worker.
#include <memory>

#include "ctl/commands/options.h"
#include "ctl/render.h"
#include "ctl/verbs.h"

namespace appd::ctl {
namespace {

struct Options {
  std::string id;
  std::int32_t worker = 0;  // 0: all that serve
  bool no_wait = false;
  std::string request_id;
  std::string reason;
};

std::string worker_name(const Options& options, std::int32_t worker) {
  return "apps/" + options.id + "/workers/" + std::to_string(worker);
}

std::string heading(const v1::DumpStacksResponse& stacks, const Style& style) {
  return paint(style, Colour::Bold,
               escape_line(short_name(stacks.name())) + "  pid " + std::to_string(stacks.pid())) +
         "\n";
}

ExitCode show_stacks(Session& session, const Options& options, std::int32_t worker) {
  v1::DumpStacksRequest request;
  request.set_name(worker_name(options, worker));
  Outcome<v1::DumpStacksResponse> stacks = session.client().dump_stacks(request);
  if (!stacks) {
    return session.fail(stacks.error(),
                        {"take the stacks of " + request.name(), options.id, "", {}});
  }
  if (session.json()) return session.print_json(*stacks);
  session.print(heading(*stacks, session.io().out_style) + escape_block(stacks->text()));
  return ExitCode::Done;
}

ExitCode stacks(Session& session, const Options& options) {
  if (options.worker != 0) return show_stacks(session, options, options.worker);
  Outcome<v1::ListWorkersResponse> all = session.client().list_workers("apps/" + options.id);
  if (!all) return session.fail(all.error(), {"take stacks", options.id, "", {}});
  ExitCode code = ExitCode::Done;
  for (const v1::Worker& worker : all->workers()) {
    const ExitCode one = show_stacks(session, options, worker.id());
    if (one != ExitCode::Done) code = one;
  }
  return code;
}

// Until the process that was there has gone. False: the stream broke off.
bool wait_until_gone(Session& session, const Options& options, std::int32_t pid) {
  v1::WatchRequest request;
  request.set_app("apps/" + options.id);
  WatchStream stream = session.client().watch(request);
  v1::WatchResponse event;
  bool there = false;
  while (stream.next(event)) {
    if (event.has_synced() && !there) return true;
    if (!event.has_worker() || event.worker().pid() != pid) continue;
    there = true;
    if (event.worker().state() == v1::Worker::EXITED) return true;
  }
  return false;
}

ExitCode recycle(Session& session, const Options& options) {
  v1::RecycleWorkerRequest request;
  request.set_name(worker_name(options, options.worker));
  request.set_request_id(options.request_id);
  request.set_reason(options.reason);
  const ErrorContext context{"replace " + request.name(), options.id, "", {}};
  Outcome<v1::Worker> worker = session.client().recycle_worker(request);
  if (!worker) return session.fail(worker.error(), context);
  const std::string who =
      "worker " + std::to_string(worker->id()) + " (pid " + std::to_string(worker->pid()) + ")";
  if (!options.no_wait && !wait_until_gone(session, options, worker->pid())) {
    session.note("lost the connection to appd; see appctl workers " + options.id);
    return ExitCode::Unreachable;
  }
  if (session.json()) return session.print_json(*worker);
  session.print(escape_line(options.id) + ": " + who +
                (options.no_wait ? " is being replaced\n" : " was replaced\n"));
  return ExitCode::Done;
}

CLI::Option* add_worker(CLI::App& command, Options& options, const char* help) {
  return command.add_option("WORKER", options.worker, help)->type_name("")->check(positive());
}

}  // namespace

void add_stacks(CLI::App& command, Action& action) {
  auto options = std::make_shared<Options>();
  add_name(command, options->id)->required();
  add_worker(command, *options, "its number (default: all of the app's)");
  command.callback([options, &action] {
    action = [options](Session& session) { return stacks(session, *options); };
  });
}

void add_recycle(CLI::App& command, Action& action) {
  auto options = std::make_shared<Options>();
  add_name(command, options->id)->required();
  add_worker(command, *options, "its number, as appctl workers shows it")->required();
  command.add_flag("--no-wait", options->no_wait, "do not wait until it has gone");
  add_call_options(command, options->request_id, options->reason);
  command.callback([options, &action] {
    action = [options](Session& session) { return recycle(session, *options); };
  });
}

}  // namespace appd::ctl
