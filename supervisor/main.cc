// appd: a flat table of contents of its life.
#include <signal.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <thread>

#include "supervisor/api/server.h"
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

sigset_t waited_signals() {
  sigset_t signals;
  ::sigemptyset(&signals);
  ::sigaddset(&signals, SIGTERM);
  ::sigaddset(&signals, SIGINT);
  ::sigaddset(&signals, SIGUSR1);
  return signals;
}

// Waits in sigwait(3), which wakes nobody up; ends with the process.
void watch_signals(std::shared_ptr<reconcile::Reconciler> reconciler,
                   std::shared_ptr<spdlog::logger> log) {
  std::thread([reconciler = std::move(reconciler), log = std::move(log)] {
    sigset_t signals = waited_signals();
    int number = 0;
    while (::sigwait(&signals, &number) == 0) {
      if (number == SIGUSR1) {
        reconciler->reopen_logs("", [](const auto&) {});
        continue;
      }
      log->info("ending signal={}", number);
      reconciler->stop();
    }
  }).detach();
}

Result<void> run(const Options& options) {
  ::umask(0077);
  ::signal(SIGPIPE, SIG_IGN);
  sigset_t signals = waited_signals();
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);  // before there is any other thread

  runtime::Paths paths{options.state_dir, options.runtime_dir, bootstrap_path()};
  TRY(make_directory(paths.state_dir));
  TRY(make_directory(paths.runtime_dir));
  TRY(make_directory(paths.logs_dir()));
  TRY(make_directory(paths.zygotes()));
  if (!std::filesystem::exists(paths.bootstrap)) {
    return Error{ErrorCode::FailedPrecondition, "WORKER_MISSING",
                 paths.bootstrap + " is missing: appd's worker must be installed beside it", 0};
  }
  StateLock lock = TRY(StateLock::acquire(options.state_dir, options.listen.front()));
  // Beyond this point no other appd has this state.

  auto log = make_log(options.log_level);
  auto store = TRY(store::Store::open(options.state_dir + "/appd.db"));
  model::ServerInfo info{
      APPD_VERSION,        ::getpid(),     std::chrono::system_clock::now(), options.state_dir,
      options.runtime_dir, options.listen, store->schema_version()};
  std::shared_ptr<reconcile::Reconciler> reconciler =
      TRY(reconcile::Reconciler::create(std::move(store), paths, log));
  TRY(reconciler->load());
  watch_signals(reconciler, log);
  auto server = TRY(api::Server::start(*reconciler, info, log));
  log->info("ready version={} pid={} state_dir={} listen={}", info.version, info.pid,
            info.state_dir, options.listen.front());

  reconciler->run();
  server->shutdown();
  log->info("ended");
  return {};
}

}  // namespace
}  // namespace appd

int main(int argc, char** argv) {
  appd::ParsedOptions parsed = appd::parse_options(argc, argv);
  if (parsed.exit_status) return *parsed.exit_status;
  auto ended = appd::run(parsed.options);
  if (!ended) {
    std::fprintf(stderr, "appd: %s\n", ended.error().message.c_str());
    return 1;
  }
  return 0;
}
