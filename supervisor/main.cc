// appd: a flat table of contents of its life.
#include <signal.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <thread>

#include "common/failpoint.h"
#include "common/messages.h"
#include "supervisor/api/server.h"
#include "supervisor/metrics/server.h"
#include "supervisor/metrics/statsd.h"
#include "supervisor/options.h"
#include "supervisor/reconcile/reconciler.h"
#include "supervisor/state_lock.h"
#include "supervisor/store/store.h"

namespace appd {
namespace {

std::shared_ptr<spdlog::logger> make_log(const std::string& level) {
  auto log = spdlog::stderr_color_mt("appd");
  log->set_pattern("%Y-%m-%dT%H:%M:%S.%e%z %^%l%$ %v");
  log->set_level(spdlog::level::from_str(level));
  log->flush_on(spdlog::level::trace);
  return log;
}

// The zygote's script lies beside the binary, in the build tree and when installed.
std::string bootstrap_path() {
  return (std::filesystem::read_symlink("/proc/self/exe").parent_path().parent_path() /
          "lib/appd/appd_zygote.py")
      .string();
}

Result<void> check_worker(const runtime::Paths& paths) {
  const std::filesystem::path bootstrap(paths.bootstrap);
  for (const auto& needed : {bootstrap, bootstrap.parent_path() / "appd-launch"}) {
    if (std::filesystem::exists(needed)) continue;
    return Error{ErrorCode::FailedPrecondition, "WORKER_MISSING",
                 needed.string() + " is missing: appd's worker must be installed beside it", 0};
  }
  return {};
}

sigset_t waited_signals() {
  sigset_t signals;
  ::sigemptyset(&signals);
  for (int number : {SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2}) {
    ::sigaddset(&signals, number);
  }
  return signals;
}

// The table is in docs/operations.md.
void obey(int signal, reconcile::Reconciler& reconciler, bool keep_on_term, spdlog::logger& log) {
  switch (signal) {
    case SIGUSR1:
      return reconciler.reopen_logs({}, [](const auto&) {});
    case SIGUSR2:
      return reconciler.upgrade({}, [](const auto&) {});  // which logs what comes of it
    case SIGHUP:
      return log.info("SIGHUP changes nothing: appd reads no configuration, appctl changes it");
    default:
      break;
  }
  bool keep = signal == SIGQUIT || (signal == SIGTERM && keep_on_term);
  log.info("ending signal={} apps={}", signal, keep ? "keep" : "drain");
  if (keep) {
    reconciler.leave();
  } else {
    reconciler.stop();
  }
}

// Waits in sigwait(3), which wakes nobody up; ends with the process.
void watch_signals(std::shared_ptr<reconcile::Reconciler> reconciler, bool keep_on_term,
                   std::shared_ptr<spdlog::logger> log) {
  std::thread([reconciler = std::move(reconciler), keep_on_term, log = std::move(log)] {
    sigset_t signals = waited_signals();
    int number = 0;
    while (::sigwait(&signals, &number) == 0) obey(number, *reconciler, keep_on_term, *log);
  }).detach();
}

Result<api::AccessRules> access_rules(const Options& options) {
  api::AccessRules rules;
  for (const std::string& client : options.clients) {
    rules.clients.push_back(TRY(model::parse_client_rule(client)));
  }
  rules.changes_per_second = options.change_rate;
  return rules;
}

// Whether this binary could go on where another one is: what an upgrade asks first.
Result<void> check(const runtime::Paths& paths, const Options& options) {
  TRY(check_worker(paths));
  TRY(api::check_entrances(options.listen));
  TRY(access_rules(options));
  TRY(store::Store::rehearse(paths.database()));
  std::printf("appd %s schema=%d protocol=%u\n", APPD_VERSION, store::Store::newest_schema(),
              message::kProtocolVersion);
  return {};
}

// An error says which option it is about.
template <typename T>
Result<T> of_option(const char* option, Result<T> result) {
  if (result) return result;
  Error error = std::move(result).error();
  error.message = std::string(option) + ": " + error.message;
  return error;
}

Result<void> run(const Options& options, runtime::Invocation self) {
  ::umask(0077);
  ::signal(SIGPIPE, SIG_IGN);
  TRY(failpoints::check());
  runtime::Paths paths{options.state_dir, options.runtime_dir, bootstrap_path(), options.cgroup};
  if (options.check) return check(paths, options);
  api::AccessRules rules = TRY(access_rules(options));
  auto inherited = runtime::Inheritance::take();
  sigset_t signals = waited_signals();
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);  // before there is any other thread

  TRY(make_directory(paths.state_dir));
  TRY(make_directory(paths.runtime_dir));
  TRY(make_directory(paths.logs_dir()));
  TRY(make_directory(paths.zygotes().sockets));
  TRY(make_directory(paths.zygotes().copies));
  TRY(check_worker(paths));
  StateLock lock =
      TRY(StateLock::acquire(options.state_dir, options.listen.front(), std::move(inherited.lock)));
  // Beyond this point no other appd has this state.

  auto log = make_log(options.log_level);
  if (failpoints::armed) log->warn("failpoints are armed: this appd is for tests");
  auto store = TRY(store::Store::open(paths.database()));
  model::ServerInfo info{
      APPD_VERSION,        ::getpid(),     std::chrono::system_clock::now(), options.state_dir,
      options.runtime_dir, options.listen, store->schema_version()};
  std::shared_ptr<reconcile::Reconciler> reconciler =
      TRY(reconcile::Reconciler::create(std::move(store), paths, log));
  TRY(reconciler->load());
  watch_signals(reconciler, options.keep_on_term, log);
  auto server = TRY(api::Server::start(*reconciler, info, log, api::Server::kLinger,
                                       std::move(inherited.entrances), std::move(rules)));
  reconciler->prepare_succession(std::move(self),
                                 {lock.fd(), server->entrances(), APPD_VERSION, "", ""});
  reconciler->note_succession(inherited);
  std::unique_ptr<runtime::ShortServer> page;
  if (!options.metrics_listen.empty()) {
    page = TRY(
        of_option("--metrics-listen", metrics::serve(options.metrics_listen, *reconciler, info)));
  }
  std::unique_ptr<metrics::Statsd> statsd;
  if (!options.statsd_host.empty()) {
    statsd =
        TRY(of_option("--statsd-host", metrics::Statsd::start(options.statsd_host,
                                                              options.statsd_prefix, *reconciler)));
  }
  log->info("ready version={} pid={} state_dir={} listen={}", info.version, info.pid,
            info.state_dir, options.listen.front());

  reconciler->run();
  server->shutdown();
  page.reset();
  statsd.reset();
  log->info("ended");
  return {};
}

}  // namespace
}  // namespace appd

int main(int argc, char** argv) {
  appd::ParsedOptions parsed = appd::parse_options(argc, argv);
  if (parsed.exit_status) return *parsed.exit_status;
  auto ended = appd::run(parsed.options, appd::runtime::Invocation::of_this_process(argc, argv));
  if (!ended) {
    std::fprintf(stderr, "appd: %s\n", ended.error().message.c_str());
    return 1;
  }
  return 0;
}
