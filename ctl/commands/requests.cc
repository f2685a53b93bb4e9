// requests: what workers have in hand now, and the end of one of them.
#include <charconv>
#include <memory>
#include <thread>

#include "ctl/commands/options.h"
#include "ctl/render.h"
#include "ctl/verbs.h"

namespace appd::ctl {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

// A coroutine or greenlet that goes on for longer resists.
constexpr std::chrono::seconds kResistance{5};
constexpr milliseconds kLook{50};

struct Options {
  std::string id;
  std::string cancel;  // "WORKER/NUMBER"; empty: none
  bool no_wait = false;
};

ExitCode list(Session& session, const Options& options) {
  const bool all = options.id.empty();
  Outcome<v1::ListRequestsResponse> found =
      session.client().list_requests("apps/" + (all ? "-" : options.id));
  if (!found) {
    return session.fail(found.error(), {"list the requests in hand", options.id, "", {}});
  }
  if (session.json()) return session.print_json(*found);
  session.print(render_requests(*found, all, session.io().out_style));
  return ExitCode::Done;
}

// Whether it is over within kResistance; an Error: appd has gone.
Outcome<bool> wait_for_end(Session& session, const Options& options, const std::string& name) {
  const auto limit = steady_clock::now() + kResistance;
  while (true) {
    Outcome<v1::ListRequestsResponse> found = session.client().list_requests("apps/" + options.id);
    if (!found) return found.error();
    bool there = false;
    for (const v1::RequestInHand& each : found->requests()) there = there || each.name() == name;
    if (!there) return true;
    if (steady_clock::now() > limit) return false;
    std::this_thread::sleep_for(kLook);
  }
}

ExitCode cancel(Session& session, const Options& options) {
  const std::size_t slash = options.cancel.find('/');
  const ErrorContext context{"cancel the request " + options.cancel, options.id, "", {}};
  if (options.id.empty()) {
    return session.fail(
        usage_error("say of which app: appctl requests APP --cancel " + options.cancel), context);
  }
  v1::CancelRequestRequest request;
  request.set_name("apps/" + options.id + "/workers/" + options.cancel.substr(0, slash) +
                   "/requests/" + options.cancel.substr(slash + 1));
  Outcome<v1::RequestInHand> told = session.client().cancel_request(request);
  if (!told) return session.fail(told.error(), context);
  const std::string what = options.cancel + " (" + told->method() + " " + told->path() + ")";
  bool over = false;
  if (!options.no_wait) {
    Outcome<bool> waited = wait_for_end(session, options, request.name());
    if (!waited) return session.fail(waited.error(), context);
    over = *waited;
  }
  if (!over && !options.no_wait) {
    session.note("the request " + escape_line(what) +
                 " goes on: the app does not let itself be "
                 "interrupted\n  `appctl stacks " +
                 escape_line(options.id) + "` shows where it is, `appctl recycle " +
                 escape_line(options.id) + " " + options.cancel.substr(0, slash) +
                 "` replaces its worker.");
    return ExitCode::Failed;
  }
  if (session.json()) return session.print_json(*told);
  session.print(escape_line(options.id) + ": " + escape_line(what) +
                (over ? " was cancelled\n" : " is being cancelled\n"));
  return ExitCode::Done;
}

void check_id(const std::string& text) {
  const auto number = [](std::string_view part) {
    std::uint32_t value = 0;
    const auto [end, code] = std::from_chars(part.data(), part.data() + part.size(), value);
    return code == std::errc() && end == part.data() + part.size() && value > 0;
  };
  const std::size_t slash = text.find('/');
  const std::string_view view(text);
  if (slash != std::string::npos && number(view.substr(0, slash)) &&
      number(view.substr(slash + 1))) {
    return;
  }
  throw CLI::ValidationError(
      "--cancel", "'" + text + "' is no request; write WORKER/NUMBER, as appctl requests shows it");
}

}  // namespace

void add_requests(CLI::App& command, Action& action) {
  auto options = std::make_shared<Options>();
  add_name(command, options->id)->description("the app's name (default: all apps)");
  CLI::Option* cancel_option =
      command
          .add_option_function<std::string>(
              "--cancel",
              [options](const std::string& text) {
                check_id(text);
                options->cancel = text;
              },
              "end this one; its client gets a 503. A thread's cannot be ended: those of sync and "
              "gthread")
          ->type_name("ID");
  command.add_flag("--no-wait", options->no_wait, "do not wait until it is over")
      ->needs(cancel_option);
  command.callback([options, &action] {
    action = [options](Session& session) {
      return options->cancel.empty() ? list(session, *options) : cancel(session, *options);
    };
  });
}

}  // namespace appd::ctl
