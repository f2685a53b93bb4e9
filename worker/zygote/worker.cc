// The composition of a worker, its link to the zygote, and its signals.
#include "worker/zygote/worker.h"

#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <thread>

#include "worker/engine/acceptor.h"
#include "worker/engine/engine.h"
#include "worker/gateway/monitor.h"
#include "worker/gateway/serving.h"
#include "worker/net/log_files.h"
#include "worker/net/log_line.h"
#include "worker/net/log_output.h"
#include "worker/zygote/child.h"
#include "worker/zygote/probe.h"
#include "worker/zygote/stacks_offer.h"

namespace appd::zygote {
namespace {

using std::chrono::milliseconds;

constexpr int kExitFailed = 1;
constexpr int kExitBootFailed = 3;

// How long a worker that did not pass its health check may take to end by itself.
constexpr std::chrono::seconds kUnhealthyGrace{1};

// What the signal handler can reach.
engine::Engine* signalled_engine = nullptr;
gateway::Monitor* signalled_monitor = nullptr;

void on_signal(int) {
  int saved = errno;
  if (signalled_engine != nullptr) signalled_engine->request_drain();
  if (signalled_monitor != nullptr) signalled_monitor->wake();
  errno = saved;
}

void handle_signals(engine::Engine& engine, gateway::Monitor& monitor) {
  signalled_engine = &engine;
  signalled_monitor = &monitor;
  struct sigaction action {};
  action.sa_handler = on_signal;
  ::sigaction(SIGTERM, &action, nullptr);
  ::sigaction(SIGINT, &action, nullptr);
}

int boot_failed(const WorkerSetup& setup, message::BootFailure cause, std::string summary,
                std::string traceback = {}) {
  net::LogLine("warn", "boot_failed").add("worker", setup.worker).add("error", summary);
  if (setup.channel.open()) {
    (void)setup.channel.send(
        message::BootFailed{setup.worker, cause, std::move(summary), std::move(traceback)});
  }
  return kExitBootFailed;
}

// Owns everything that serves. Lives as long as the process.
class Worker {
 public:
  Worker(WorkerSetup setup, std::unique_ptr<engine::Engine> engine)
      : setup_(std::move(setup)),
        engine_(std::move(engine)),
        monitor_({[this] { looked(); },
                  [this](std::string_view request, milliseconds after) { stuck(request, after); },
                  [this] { serving_->held_up(); }, [this] { serving_->relieve(); },
                  [this] { drain_over(); }}) {}

  int serve(gateway::PyRef app, std::vector<engine::Peer> names) {
    const std::string& worker_class = setup_.load.worker_class;
    gateway::ServingParts parts{*engine_,      monitor_,    std::move(app),
                                setup_.worker, setup_.load, std::move(names)};
    bool by_threads = worker_class == "sync" || worker_class == "gthread";
    serving_ = by_threads ? make_crew_serving(std::move(parts))
                          : make_loop_serving(std::move(parts), worker_class);
    serving_->on_ready = [this] { began_to_serve(); };
    serving_->on_watched = [this] { probing_ ? follow_probe() : read_link(); };
    serving_->on_drain = [this] { begin_drain(); };
    serving_->on_stuck = [this](auto request, auto after) { stuck(request, after); };
    gateway::ServingEnd end = serving_->serve();
    if (unhealthy_) return kExitBootFailed;
    if (!end.booted) {
      return boot_failed(setup_, message::BootFailure::Import, std::move(end.summary),
                         std::move(end.traceback));
    }
    if (!end.failed) return 0;
    PyErr_Print();
    return kExitFailed;
  }

 private:
  void began_to_serve() {
    if (auto started = monitor_.start(engine_->waiting_fd()); !started) {
      net::LogLine("error", "monitor_not_started").add("error", started.error().message);
    }
    if (engine_->settings().health_path.empty()) return ready();
    auto probe = Probe::create(engine_->settings());
    if (!probe || !engine_->watch((*probe)->fd())) {
      return unhealthy({false, "the health check could not be begun: no descriptor", ""});
    }
    probe_ = std::move(probe).value();
    probing_ = true;
    probe_->start([this](const Probe::Verdict& verdict) {
      unhealthy(verdict);
      std::this_thread::sleep_for(kUnhealthyGrace);
      ::_exit(kExitBootFailed);
    });
  }

  void follow_probe() {
    Probe::News news = probe_->take_news();
    for (UniqueFd& connection : news.connections) engine_->adopt(std::move(connection));
    if (!news.healthy) return;
    probing_ = false;
    engine_->unwatch(probe_->fd());
    engine_->admit_clients();
    ready();
  }

  // Any thread: the app may hold the interpreter's lock.
  void unhealthy(const Probe::Verdict& verdict) {
    unhealthy_ = true;
    boot_failed(setup_, message::BootFailure::Unhealthy, verdict.summary, verdict.answer);
    engine_->request_drain();
  }

  void ready() {
    handle_signals(*engine_, monitor_);
    if (setup_.channel.open()) (void)engine_->watch(setup_.channel.fd());
    tell(message::Ready{setup_.worker, engine_->settings().revision, class_that_serves()});
  }

  // With several threads sync is gthread.
  std::string class_that_serves() const {
    bool threads = setup_.load.worker_class == "sync" && engine_->settings().threads > 1;
    return threads ? "gthread" : setup_.load.worker_class;
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
        net::set_log_prefix(tuned->settings.log_prefix);
        engine_->apply(tuned->settings);
        serving_->tune();
        tell(message::Tuned{setup_.worker, engine_->settings().revision});
      } else if (auto* cancel = std::get_if<message::CancelRequest>(&received->message)) {
        serving_->cancel(cancel->number);
      } else if (std::holds_alternative<message::Reopen>(received->message)) {
        net::take_log_files(setup_.log_files.get());
      }
    }
  }

  // In the monitor's thread.
  void looked() {
    auto now = net::steady_now().time_since_epoch().count();
    setup_.slot->beat_ns.store(static_cast<std::uint64_t>(now), std::memory_order_relaxed);
    engine_->note_turns();
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

  // In the monitor's thread or the main thread. The zygote kills us: only it can tell appd why.
  void stuck(std::string_view request, milliseconds after) {
    std::string from_slot;
    if (const RequestInHand* newest = newest_in_hand(*setup_.slot); request.empty() && newest) {
      from_slot = std::string(newest->method) + " " + newest->path;
      request = from_slot;
    }
    auto timeout = engine_->settings().timeout_ms;
    bool request_limit = timeout == 0 || after < milliseconds(timeout);
    net::LogLine("warn", request_limit ? "request_timeout" : "timeout")
        .add("worker", setup_.worker)
        .add("request", request)
        .add("after_ms", after.count());
    if (!setup_.channel.open()) ::_exit(kExitFailed);
    tell(message::Stuck{setup_.worker, request_limit, static_cast<std::uint32_t>(after.count()),
                        std::string(request)});
  }

  // In the monitor's thread: what is not finished by now is cut off.
  [[noreturn]] void drain_over() {
    net::LogLine("warn", "drain_timeout")
        .add("worker", setup_.worker)
        .add("after_ms", engine_->settings().graceful_timeout_ms);
    ::_exit(kExitCut);
  }

  WorkerSetup setup_;
  std::unique_ptr<Probe> probe_;         // what it says comes instead of the link's, while
  bool probing_ = false;                 // this is so; under the interpreter's lock
  std::atomic<bool> unhealthy_ = false;  // and has been told so
  std::atomic<bool> drain_begun_ = false;
  std::unique_ptr<engine::Engine> engine_;
  gateway::Monitor monitor_;
  std::unique_ptr<gateway::Serving> serving_;
};

}  // namespace

int run_worker(WorkerSetup setup, const gateway::Hooks& hooks) {
  // Before the app is imported, which may hang.
  if (setup.stacks.fd() >= 0) offer_stacks(setup.stacks.fd(), hooks);
  gateway::PyRef app = std::move(setup.app);
  if (!app) {
    auto loaded = hooks.load(setup.load);
    if (!loaded.app) {
      auto cause = loaded.not_found ? message::BootFailure::NotFound : message::BootFailure::Import;
      return boot_failed(setup, cause, std::move(loaded.summary), std::move(loaded.traceback));
    }
    setup.load.worker_class = loaded.worker_class;
    app = std::move(loaded.app);
  }
  std::vector<engine::Peer> names;
  for (const UniqueFd& listener : setup.listeners) {
    names.push_back(engine::local_name(listener.get()));
  }
  auto engine = engine::Engine::create(std::move(setup.listeners), std::move(setup.handover),
                                       setup.load.settings, *setup.slot);
  if (!engine) {
    return boot_failed(setup, message::BootFailure::Import, engine.error().message);
  }
  if (!setup.load.settings.health_path.empty()) (*engine)->exclude_clients();
  setup.slot->pid.store(::getpid(), std::memory_order_relaxed);
  auto* worker = new Worker(std::move(setup), std::move(engine).value());
  return worker->serve(std::move(app), std::move(names));
}

}  // namespace appd::zygote
