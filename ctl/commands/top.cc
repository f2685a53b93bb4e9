// top: apps and workers as they are now, anew every second. Not on a terminal, one table.
#include <google/protobuf/util/time_util.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <memory>
#include <optional>

#include "ctl/commands/options.h"
#include "ctl/top/feed.h"
#include "ctl/top/terminal.h"
#include "ctl/verbs.h"

namespace appd::ctl {
namespace {

using google::protobuf::util::TimeUtil;

const std::vector<std::pair<std::string, TopSort>> kSortNames{
    {"name", TopSort::Name}, {"busy", TopSort::Busy}, {"rate", TopSort::Rate},
    {"p99", TopSort::P99},   {"cpu", TopSort::Cpu},   {"memory", TopSort::Memory}};

struct Options {
  std::string id;
  std::optional<std::chrono::milliseconds> interval;
  TopSort sort = TopSort::Name;
  bool workers = false;
  bool batch = false;
};

v1::WatchStatsRequest request_of(const Options& options) {
  v1::WatchStatsRequest request;
  if (!options.id.empty()) request.set_app("apps/" + options.id);
  if (options.interval) {
    *request.mutable_interval() = TimeUtil::MillisecondsToDuration(options.interval->count());
  }
  return request;
}

ErrorContext context_of(const Options& options) {
  return {"watch the figures", options.id, "",
          [](const std::string& field) { return "--" + field; }};
}

// Rates are of the time between two messages: the second one is shown.
ExitCode batch(Session& session, const Options& options) {
  StatsStream stream = session.client().watch_stats(request_of(options));
  v1::WatchStatsResponse stats;
  while (stream.next(stats)) {
    if (!stats.has_over()) continue;
    stream.cancel();
    if (session.json()) return session.print_json(stats);
    TopView view(session.address());
    view.set_sort(options.sort, options.workers);
    view.take(std::move(stats));
    const Style& style = session.io().out_style;
    for (const TopLine& line : view.table(style.width)) {
      session.print(paint(style, line.colour, line.text) + "\n");
    }
    return ExitCode::Done;
  }
  return session.fail(*stream.error(), context_of(options));
}

// What the feed has told. An error: there will be no more.
std::optional<CallError> hear(TopFeed& feed, TopView& view) {
  std::optional<CallError> failed;
  for (TopNews& news : feed.take()) {
    std::visit(Overloaded{[&](v1::WatchStatsResponse& stats) {
                            view.set_connected(true);
                            view.take(std::move(stats));
                          },
                          [&](ConnectionLost&) { view.set_connected(false); },
                          [&](WishEnded& ended) {
                            if (ended.failed) view.forget(ended.app);
                            view.note(std::move(ended.text));
                          },
                          [&](FeedFailed& end) { failed = std::move(end.error); }},
               news);
  }
  return failed;
}

// Until q. The terminal is given back before anything else is said.
Result<std::optional<CallError>> live(Session& session, const Options& options) {
  // The feed's threads must not take the signal that says that the terminal has another size.
  sigset_t resized;
  ::sigemptyset(&resized);
  ::sigaddset(&resized, SIGWINCH);
  ::pthread_sigmask(SIG_BLOCK, &resized, nullptr);
  ClientOptions quiet;  // what a client notes would go across the screen
  quiet.address = session.address();
  Client client(std::move(quiet));
  std::unique_ptr<TopFeed> feed = TRY(TopFeed::start(client, request_of(options)));
  ::pthread_sigmask(SIG_UNBLOCK, &resized, nullptr);
  Terminal terminal = TRY(Terminal::open(session.io().out_style.colour));
  TopView view(session.address());
  view.set_sort(options.sort, options.workers);
  while (!view.quitting()) {
    terminal.draw(view.screen(terminal.width(), terminal.height()));
    std::array<pollfd, 2> polled{{{STDIN_FILENO, POLLIN, 0}, {feed->fd(), POLLIN, 0}}};
    // A signal is a new size; who takes the terminal away ends us.
    if (::poll(polled.data(), polled.size(), -1) >= 0 && (polled[0].revents & POLLIN) == 0 &&
        polled[0].revents != 0) {
      break;
    }
    while (const std::optional<TopKey> key = terminal.key()) {
      if (std::optional<TopWish> wish = view.press(*key)) feed->carry_out(*std::move(wish));
    }
    if (std::optional<CallError> failed = hear(*feed, view)) return failed;
  }
  return std::optional<CallError>();
}

ExitCode top(Session& session, const Options& options) {
  const bool terminal = ::isatty(STDIN_FILENO) != 0 && session.io().out_style.width > 0 &&
                        session.io().environment("TERM").value_or("dumb") != "dumb";
  if (options.batch || session.json() || !terminal) return batch(session, options);
  // Before the terminal is taken: that nobody is there is said in the usual place.
  Outcome<v1::ServerInfo> there = session.client().get_server_info();
  if (!there) return session.fail(there.error(), context_of(options));
  Result<std::optional<CallError>> ended = live(session, options);
  if (!ended) return session.fail(usage_error(ended.error().message), context_of(options));
  return *ended ? session.fail(**ended, context_of(options)) : ExitCode::Done;
}

}  // namespace

void add_top(CLI::App& command, Action& action) {
  auto options = std::make_shared<Options>();
  add_name(command, options->id)->description("only this app (default: all apps)");
  add_duration(command, "--interval", options->interval, "between two looks (1s)");
  std::string names;
  for (const auto& each : kSortNames) names += (names.empty() ? "" : "|") + each.first;
  command
      .add_option_function<std::string>(
          "--sort",
          [options, names](const std::string& text) {
            const auto found = std::find_if(kSortNames.begin(), kSortNames.end(),
                                            [&](const auto& each) { return each.first == text; });
            if (found == kSortNames.end()) {
              throw CLI::ValidationError("--sort", "'" + text + "' is none of " + names);
            }
            options->sort = found->second;
          },
          "what is sorted by (name)")
      ->type_name(names);
  command.add_flag("--workers", options->workers, "show the workers of each app too");
  command.add_flag("-b,--batch", options->batch,
                   "one table and no keys, as when not on a terminal");
  command.callback([options, &action] {
    action = [options](Session& session) { return top(session, *options); };
  });
}

}  // namespace appd::ctl
