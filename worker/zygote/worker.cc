// The composition of a worker, its link to the zygote, and its signals.
#include "worker/zygote/worker.h"

#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>

#include "worker/engine/acceptor.h"
#include "worker/engine/engine.h"
#include "worker/gateway/crew.h"
#include "worker/gateway/monitor.h"
#include "worker/gateway/wsgi.h"
#include "worker/net/log_line.h"

namespace appd::zygote {
namespace {

using std::chrono::milliseconds;

constexpr int kExitFailed = 1;
constexpr int kExitBootFailed = 3;

// The signal handler's only way to the engine.
engine::Engine* signalled_engine = nullptr;

void on_signal(int) {
  int saved = errno;
  if (signalled_engine != nullptr) signalled_engine->request_drain();
  errno = saved;
}

void handle_signals(engine::Engine& engine) {
  signalled_engine = &engine;
  struct sigaction action {};
  action.sa_handler = on_signal;
  ::sigaction(SIGTERM, &action, nullptr);
  ::sigaction(SIGINT, &action, nullptr);
}

// Owns everything that serves. Lives as long as the process.
class Worker {
 public:
  Worker(WorkerSetup setup, std::unique_ptr<engine::Engine> engine, gateway::PyRef app)
      : setup_(std::move(setup)),
        engine_(std::move(engine)),
        wsgi_(std::move(app), setup_.worker),
        monitor_({[this](std::string_view request, milliseconds after) { stuck(request, after); },
                  [this] { held_up(); }, [this] { drain_over(); }}),
        crew_(*engine_, wsgi_, monitor_) {}

  bool prepare(const std::vector<engine::Peer>& names) {
    return wsgi_.prepare(names, engine_->settings().threads > 1);
  }

  int serve() {
    handle_signals(*engine_);
    crew_.on_watched = [this] { read_link(); };
    crew_.on_drain = [this] { begin_drain(); };
    if (setup_.channel.open()) (void)engine_->watch(setup_.channel.fd());
    tune();
    monitor_.start();
    const message::Settings& settings = engine_->settings();
    tell(message::Ready{setup_.worker, settings.revision,
                        settings.threads > 1 ? "gthread" : "sync"});
    if (!crew_.serve()) {
      PyErr_Print();
      return kExitFailed;
    }
    return 0;
  }

 private:
  void tune() {
    const message::Settings& settings = engine_->settings();
    crew_.resize(settings.threads);
    monitor_.set_timeout(milliseconds(settings.timeout_ms), settings.threads > 1);
  }

  void read_link() {
    for (;;) {
      auto received = setup_.channel.receive();
      if (!received) {
        if (received.error().sys_errno == EAGAIN) return;
        // The zygote is gone. Serving does not depend on it.
        engine_->unwatch(setup_.channel.fd());
        setup_.channel.close();
        return;
      }
      if (std::holds_alternative<message::Drain>(received->message)) {
        engine_->drain();
      } else if (auto* tuned = std::get_if<message::Tune>(&received->message)) {
        engine_->apply(tuned->settings);
        tune();
        tell(message::Tuned{setup_.worker, engine_->settings().revision});
      }
    }
  }

  // In the monitor's thread.
  void held_up() {
    crew_.promote();
    // Told by a signal while everybody is in the app: the time runs nevertheless.
    if (engine_->drain_requested()) begin_drain();
  }

  void begin_drain() {
    if (drain_begun_.exchange(true)) return;
    auto limit = engine_->settings().graceful_timeout_ms;
    if (limit != 0) monitor_.set_drain_deadline(net::steady_now() + milliseconds(limit));
  }

  void tell(const message::Message& message) {
    if (setup_.channel.open()) (void)setup_.channel.send(message);
  }

  // In the monitor's thread. The zygote kills us: only it can tell appd why.
  void stuck(std::string_view request, milliseconds after) {
    std::string from_slot;
    if (request.empty()) {
      from_slot = std::string(setup_.slot->method) + " " + setup_.slot->path;
      request = from_slot;
    }
    net::LogLine("warn", "request_timeout")
        .add("worker", setup_.worker)
        .add("request", request)
        .add("after_ms", after.count());
    if (!setup_.channel.open()) ::_exit(kExitFailed);
    tell(message::Stuck{setup_.worker, static_cast<std::uint32_t>(after.count()),
                        std::string(request)});
  }

  // In the monitor's thread: what is not finished by now is cut off.
  [[noreturn]] void drain_over() {
    net::LogLine("warn", "drain_timeout")
        .add("worker", setup_.worker)
        .add("after_ms", engine_->settings().graceful_timeout_ms);
    ::_exit(0);
  }

  WorkerSetup setup_;
  std::atomic<bool> drain_begun_ = false;
  std::unique_ptr<engine::Engine> engine_;
  gateway::Wsgi wsgi_;
  gateway::Monitor monitor_;
  gateway::Crew crew_;
};

int boot_failed(const WorkerSetup& setup, gateway::LoadedApp failure) {
  net::LogLine("warn", "boot_failed").add("worker", setup.worker).add("error", failure.summary);
  if (setup.channel.open()) {
    (void)setup.channel.send(message::BootFailed{
        setup.worker, failure.not_found, std::move(failure.summary), std::move(failure.traceback)});
  }
  return kExitBootFailed;
}

}  // namespace

int run_worker(WorkerSetup setup, const gateway::Hooks& hooks) {
  gateway::PyRef app = std::move(setup.app);
  if (!app) {
    auto loaded = hooks.load(setup.load.directory, setup.load.app_uri);
    if (!loaded.app) return boot_failed(setup, std::move(loaded));
    app = std::move(loaded.app);
  }
  std::vector<engine::Peer> names;
  for (const UniqueFd& listener : setup.listeners) {
    names.push_back(engine::local_name(listener.get()));
  }
  auto engine =
      engine::Engine::create(std::move(setup.listeners), setup.load.settings, *setup.slot);
  if (!engine) {
    return boot_failed(setup, {{}, false, engine.error().message, {}});
  }
  setup.slot->pid.store(::getpid(), std::memory_order_relaxed);
  auto* worker = new Worker(std::move(setup), std::move(engine).value(), std::move(app));
  if (!worker->prepare(names)) {
    PyErr_Print();
    return kExitFailed;
  }
  return worker->serve();
}

}  // namespace appd::zygote
