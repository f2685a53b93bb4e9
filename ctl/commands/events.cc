// events: what is, and with -f what changes from here on. A follower outlives restarts of appd: it
// goes on from the last revision that it has seen, and says so.
#include <algorithm>
#include <memory>
#include <thread>

#include "ctl/commands/options.h"
#include "ctl/render.h"
#include "ctl/verbs.h"

namespace appd::ctl {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kFirstDelay{100};
constexpr milliseconds kLongestDelay{5'000};

struct Options {
  std::string id;
  bool follow = false;
  std::int64_t since = 0;
};

// Where a follower stands. The revision counts only once the present state is complete: a state
// that was cut off is asked for again from its beginning.
struct Cursor {
  std::int64_t next = 0;  // 0: the present state first
  bool synced = false;
};

ExitCode show(Session& session, const v1::WatchResponse& event) {
  if (session.json()) {
    const ExitCode code = session.print_json(event, true);
    if (code != ExitCode::Done) return code;
  } else {
    session.print(render_event(event, session.io().out_style));
  }
  std::fflush(session.io().out);
  return ExitCode::Done;
}

ExitCode events(Session& session, const Options& options) {
  const ErrorContext context{"watch events", options.id, "", {}};
  Cursor cursor{options.since, options.since > 0};
  milliseconds delay = kFirstDelay;
  bool connected = false;
  bool lost = false;
  while (true) {
    v1::WatchRequest request;
    if (!options.id.empty()) request.set_app("apps/" + options.id);
    request.set_start_revision(cursor.next);
    WatchStream stream = session.client().watch(request);
    v1::WatchResponse event;
    while (stream.next(event)) {
      if (lost) session.note("connected again");
      connected = true, lost = false;
      delay = kFirstDelay;
      if (const ExitCode code = show(session, event); code != ExitCode::Done) return code;
      if (event.has_synced()) cursor.synced = true;
      if (event.has_synced() && !options.follow) return ExitCode::Done;
      if (cursor.synced) cursor.next = std::max(cursor.next, event.revision() + 1);
    }
    const CallError error = *stream.error();
    if (error.code == Code::OutOfRange && connected) {
      session.note("appd no longer has the events since revision " + std::to_string(cursor.next) +
                   "; here is the present state");
      cursor = {};
      continue;
    }
    if (!options.follow || !connected || error.code != Code::Unavailable) {
      return session.fail(error, context);
    }
    if (!lost) {
      session.note("lost the connection to appd; waiting for it to come back (revision " +
                   std::to_string(cursor.next) + ")");
    }
    lost = true;
    std::this_thread::sleep_for(delay);
    delay = std::min(2 * delay, kLongestDelay);
  }
}

}  // namespace

void add_events(CLI::App& command, Action& action) {
  auto options = std::make_shared<Options>();
  add_name(command, options->id)->description("only this app's (default: all apps')");
  CLI::Option* follow = command.add_flag("-f,--follow", options->follow,
                                         "go on with what changes, until interrupted");
  // Only the present state has an end (Synced), so a past revision makes sense for followers only.
  command
      .add_option("--since", options->since,
                  "with -f: begin at this revision, not at the present state")
      ->type_name("REVISION")
      ->check(positive())
      ->needs(follow);
  command.callback([options, &action] {
    action = [options](Session& session) { return events(session, *options); };
  });
}

}  // namespace appd::ctl
