// upgrade and shutdown: what is asked of appd itself.
#include <memory>

#include "ctl/commands/options.h"
#include "ctl/verbs.h"

namespace appd::ctl {
namespace {

struct Options {
  std::string binary;
  std::string reason;
  std::string request_id;
  bool keep_apps = false;
};

std::string counted(std::int32_t count, const char* noun) {
  return std::to_string(count) + " " + noun + (count == 1 ? "" : "s");
}

ExitCode upgrade(Session& session, const Options& options) {
  v1::UpgradeRequest request;
  if (!options.binary.empty()) {
    request.set_binary(options.binary.front() == '/'
                           ? options.binary
                           : session.io().directory + "/" + options.binary);
  }
  request.set_reason(options.reason);
  request.set_request_id(options.request_id);
  Outcome<v1::UpgradeResponse> done = session.client().upgrade(request);
  if (!done) return session.fail(done.error(), {"upgrade appd", "", "", {}});
  if (session.json()) return session.print_json(*done);
  session.print("appd " + escape_line(done->previous_version()) + " → " +
                escape_line(done->version()) + " (pid " + std::to_string(done->pid()) +
                "): " + counted(done->adopted_zygotes(), "zygote") + " and " +
                counted(done->adopted_workers(), "worker") + " serve on\n");
  return ExitCode::Done;
}

// A watch ends when appd does.
void wait_until_gone(Session& session) {
  WatchStream stream = session.client().watch(v1::WatchRequest());
  v1::WatchResponse event;
  while (stream.next(event)) {
  }
}

ExitCode shutdown(Session& session, const Options& options) {
  v1::ShutdownRequest request;
  request.set_keep_apps(options.keep_apps);
  request.set_reason(options.reason);
  request.set_request_id(options.request_id);
  Outcome<v1::ShutdownResponse> ending = session.client().shutdown(request);
  if (!ending) return session.fail(ending.error(), {"shut appd down", "", "", {}});
  wait_until_gone(session);
  if (session.json()) return session.print_json(*ending);
  const std::string apps =
      counted(ending->apps(), "app") + " with " + counted(ending->workers(), "worker");
  session.print("appd has ended: " + apps +
                (options.keep_apps ? " serve on, the next appd takes them over\n"
                                   : " drained, to be started again by the next appd\n"));
  return ExitCode::Done;
}

}  // namespace

void add_upgrade(CLI::App& command, Action& action) {
  auto options = std::make_shared<Options>();
  command
      .add_option("--binary", options->binary,
                  "the new appd (default: what lies now where the present one was started from)")
      ->type_name("PATH");
  add_call_options(command, options->request_id, options->reason);
  command.callback([options, &action] {
    action = [options](Session& session) { return upgrade(session, *options); };
  });
}

void add_shutdown(CLI::App& command, Action& action) {
  auto options = std::make_shared<Options>();
  command.add_flag("--keep-apps", options->keep_apps, "the apps serve on, for the next appd");
  add_call_options(command, options->request_id, options->reason);
  command.callback([options, &action] {
    action = [options](Session& session) { return shutdown(session, *options); };
  });
}

}  // namespace appd::ctl
