// logs and reopen-logs. A follower outlives restarts of appd: it goes on behind the last line that
// it has shown, and says so.
#include <google/protobuf/util/time_util.h>

#include <algorithm>
#include <charconv>
#include <memory>
#include <thread>

#include "ctl/commands/options.h"
#include "ctl/duration.h"
#include "ctl/render.h"
#include "ctl/verbs.h"

namespace appd::ctl {
namespace {

using google::protobuf::util::TimeUtil;
using std::chrono::milliseconds;

constexpr milliseconds kFirstDelay{100};
constexpr milliseconds kLongestDelay{5'000};
constexpr std::int32_t kDefaultLines = 100;

struct Options {
  std::string id;
  bool follow = false;
  std::string lines;
  std::optional<SinceText> since;
  std::string grep;
  std::string regex;
  std::int32_t worker = 0;
  bool access = false;
  bool all = false;
  bool no_prefix = false;
};

v1::ReadLogsRequest request_of(const Options& options) {
  v1::ReadLogsRequest request;
  request.set_name("apps/" + options.id);
  request.set_follow(options.follow);
  if (options.all) {
    request.set_source(v1::ReadLogsRequest::BOTH);
  } else if (options.access) {
    request.set_source(v1::ReadLogsRequest::ACCESS);
  }
  if (options.since && options.since->ago) {
    *request.mutable_since() = TimeUtil::MillisecondsToDuration(options.since->ago->count());
  } else if (options.since) {
    *request.mutable_since_time() = TimeUtil::MillisecondsToTimestamp(
        std::chrono::duration_cast<milliseconds>(options.since->time.time_since_epoch()).count());
  }
  if (options.lines.empty() && !options.since) request.set_tail(kDefaultLines);
  if (!options.lines.empty() && options.lines != "all") request.set_tail(std::stoi(options.lines));
  request.set_contains(options.grep);
  request.set_matches(options.regex);
  if (options.worker != 0) request.set_worker(options.worker);
  return request;
}

ExitCode show(Session& session, const v1::LogEntry& entry, const Options& options) {
  if (entry.gap()) {
    session.note("lines are missing here: they were rotated away before they were read");
  }
  if (session.json()) return session.print_json(entry, true);
  session.print(render_log_entry(entry, !options.no_prefix, session.io().out_style));
  return ExitCode::Done;
}

ExitCode logs(Session& session, const Options& options) {
  const ErrorContext context{"read the logs of " + options.id, options.id, "", {}};
  v1::ReadLogsRequest request = request_of(options);
  milliseconds delay = kFirstDelay;
  bool connected = false;
  bool lost = false;
  while (true) {
    LogEntryStream stream = session.client().read_logs(request);
    v1::LogEntry entry;
    while (stream.next(entry)) {
      if (std::exchange(lost, false)) session.note("connected again");
      delay = kFirstDelay;
      if (const ExitCode code = show(session, entry, options); code != ExitCode::Done) return code;
      if (options.follow) std::fflush(session.io().out);
      request.set_after(entry.cursor());
    }
    const std::optional<CallError> error = stream.error();
    if (!error) return ExitCode::Done;
    connected = connected || stream.reached();
    if (!options.follow || !connected || error->code != Code::Unavailable) {
      return session.fail(*error, context);
    }
    if (!std::exchange(lost, true)) {
      session.note("lost the connection to appd; waiting for it to come back");
    }
    std::this_thread::sleep_for(delay);
    delay = std::min(2 * delay, kLongestDelay);
  }
}

struct ReopenOptions {
  std::string id;  // empty: all
  std::string request_id;
  std::string reason;
};

ExitCode reopen(Session& session, const ReopenOptions& options) {
  const std::string& id = options.id;
  v1::ReopenLogsRequest request;
  request.set_name("apps/" + (id.empty() ? "-" : id));
  request.set_request_id(options.request_id);
  request.set_reason(options.reason);
  Outcome<v1::ReopenLogsResponse> reopened = session.client().reopen_logs(request);
  if (!reopened) return session.fail(reopened.error(), {"reopen the logs", id, "", {}});
  if (session.json()) return session.print_json(*reopened);
  session.print("reopened the logs of " + std::to_string(reopened->apps()) +
                (reopened->apps() == 1 ? " app\n" : " apps\n"));
  return ExitCode::Done;
}

void check_lines(const std::string& text) {
  std::int32_t number = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool whole = code == std::errc() && end == text.data() + text.size() && number >= 0;
  if (text == "all" || whole) return;
  throw CLI::ValidationError("--lines", "'" + text + "' is neither a number of lines nor all");
}

void add_filters(CLI::App& command, Options& options) {
  command
      .add_option_function<std::string>(
          "--since",
          [&options](const std::string& text) {
            const Result<SinceText> parsed = parse_since(text);
            if (!parsed) throw CLI::ValidationError("--since", parsed.error().message);
            options.since = *parsed;
          },
          "only lines that are no older: 10m, 24h, or \"2026-11-25 09:30\" (local time)")
      ->type_name("TIME");
  command.add_option("--grep", options.grep, "only lines that contain this text")
      ->type_name("TEXT");
  command.add_option("--regex", options.regex, "only lines that match (RE2's syntax)")
      ->type_name("PATTERN");
  command.add_option("--worker", options.worker, "only lines of this worker; needs log_prefix on")
      ->type_name("N")
      ->check(positive());
}

}  // namespace

void add_logs(CLI::App& command, Action& action) {
  auto options = std::make_shared<Options>();
  add_name(command, options->id)->required();
  command.add_flag("-f,--follow", options->follow, "go on with what is written, until interrupted");
  command
      .add_option_function<std::string>(
          "-n,--lines",
          [options](const std::string& text) {
            check_lines(text);
            options->lines = text;
          },
          "the last so many lines, or all (100; all with --since)")
      ->type_name("LINES");
  add_filters(command, *options);
  CLI::Option* access =
      command.add_flag("--access", options->access, "the access log, not the app's");
  command.add_flag("--all", options->all, "both logs, merged by time")->excludes(access);
  command.add_flag("--no-prefix", options->no_prefix, "no time and worker before each line");
  command.callback([options, &action] {
    action = [options](Session& session) { return logs(session, *options); };
  });
}

void add_reopen_logs(CLI::App& command, Action& action) {
  auto options = std::make_shared<ReopenOptions>();
  add_name(command, options->id)->description("only this app's (default: all apps')");
  add_call_options(command, options->request_id, options->reason);
  command.callback([options, &action] {
    action = [options](Session& session) { return reopen(session, *options); };
  });
}

}  // namespace appd::ctl
