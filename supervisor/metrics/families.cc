// A flat list of families.
#include "supervisor/metrics/families.h"

#include <array>

#include "supervisor/metrics/exposition.h"

namespace appd::metrics {
namespace {

using model::MeasuredApp;
using model::MeasuredWorker;
using model::Measurement;

constexpr std::array kAppStates = {"starting", "active",  "updating", "stopping",
                                   "stopped",  "failing", "deleting"};
static_assert(kAppStates.size() == static_cast<std::size_t>(model::AppState::Deleting) + 1);
constexpr std::array kWorkerStates = {"starting", "ready", "draining"};
static_assert(kWorkerStates.size() == static_cast<std::size_t>(model::WorkerState::Exited));
constexpr std::array kAnswers = {"none", "1xx", "2xx", "3xx", "4xx", "5xx"};
constexpr std::array kKinds = {"create", "update", "scale", "reload", "delete", "rollback"};
static_assert(kKinds.size() == model::kOperationKinds);
constexpr std::array kOutcomes = {"succeeded", "rolled_back", "failed", "superseded", "cancelled"};
static_assert(kOutcomes.size() == model::kOutcomes);
constexpr std::array kFailures = {
    "import_failed", "app_not_found", "interpreter_failed", "boot_timeout",  "worker_died",
    "spawn_failed",  "bind_failed",   "probe_failed",       "canary_failed", "run_once_failed"};
static_assert(kFailures.size() == model::kFailureCauses);

constexpr std::size_t kFirstLatency = 5;  // quicker than 32 µs is all the same

double seconds(std::uint64_t nanoseconds) { return static_cast<double>(nanoseconds) / 1e9; }
double seconds(std::chrono::nanoseconds time) { return static_cast<double>(time.count()) / 1e9; }
double seconds(model::WallTime time) {
  return std::chrono::duration<double>(time.time_since_epoch()).count();
}

// One sample for each app.
template <typename Value>
void per_app(Exposition& out, const Measurement& measured, Value value) {
  for (const MeasuredApp& app : measured.apps) out.sample({{"app", app.id}}, value(app));
}

// One sample for each app and each word, in the order of the words.
template <typename Words, typename Value>
void per_app_and(Exposition& out, const Measurement& measured, std::string_view label,
                 const Words& words, Value value) {
  for (const MeasuredApp& app : measured.apps) {
    for (std::size_t i = 0; i < words.size(); ++i) {
      out.sample({{"app", app.id}, {label, words[i]}}, value(app, i));
    }
  }
}

template <typename Value>
void per_worker(Exposition& out, const Measurement& measured, Value value) {
  for (const MeasuredWorker& worker : measured.workers) {
    const std::string id = std::to_string(worker.view.id);
    out.sample({{"app", worker.view.app}, {"worker", id}}, value(worker));
  }
}

void put_state(Exposition& out, const Measurement& measured) {
  out.gauge("appd_app_state", "1 for the state that the app is in, 0 for the others.");
  per_app_and(out, measured, "state", kAppStates, [](const MeasuredApp& app, std::size_t i) {
    return std::int64_t{static_cast<std::size_t>(app.state) == i};
  });
  out.gauge("appd_app_info", "1, with the worker class in effect.");
  for (const MeasuredApp& app : measured.apps) {
    out.sample({{"app", app.id}, {"worker_class", app.worker_class}}, std::int64_t{1});
  }
  out.gauge("appd_app_rollout", "Number of the rollout that serves, 0 for none.");
  per_app(out, measured, [](const MeasuredApp& app) { return app.rollout; });
  out.gauge("appd_app_wanted_workers", "Workers that are wanted.");
  per_app(out, measured, [](const MeasuredApp& app) { return std::int64_t{app.wanted_workers}; });
  out.gauge("appd_app_workers", "Workers that there are, by state.");
  std::map<std::pair<std::string_view, std::size_t>, std::int64_t> workers;
  for (const MeasuredWorker& worker : measured.workers) {
    ++workers[{worker.view.app, static_cast<std::size_t>(worker.view.state)}];
  }
  per_app_and(out, measured, "state", kWorkerStates, [&](const MeasuredApp& app, std::size_t i) {
    return workers[{app.id, i}];
  });
}

void put_requests(Exposition& out, const Measurement& measured) {
  out.counter("appd_app_requests_total",
              "Requests that the app had to answer and that are over, by the class of the status; "
              "none: without an answer.");
  per_app_and(out, measured, "code", kAnswers,
              [](const MeasuredApp& app, std::size_t i) { return by_class(app.tally.counts)[i]; });
  out.counter("appd_app_refused_requests_total",
              "Requests that workers refused before the app saw them: malformed, too large or too "
              "slow to come.");
  per_app(out, measured, [](const MeasuredApp& app) { return app.tally.counts.refused; });
  out.gauge("appd_app_requests_in_flight", "Requests that are inside the app.");
  per_app(out, measured, [](const MeasuredApp& app) { return std::int64_t{app.busy}; });
  out.histogram("appd_app_request_duration_seconds",
                "From when a request had come to the end of its answer.");
  for (const MeasuredApp& app : measured.apps) {
    const Counts& counts = app.tally.counts;
    out.samples({"app", app.id}, counts.latency, 1e-6, kFirstLatency, seconds(counts.latency_ns));
  }
  out.histogram("appd_app_request_wait_seconds",
                "Before that: how long a request had waited until a worker had time for it.");
  for (const MeasuredApp& app : measured.apps) {
    const Counts& counts = app.tally.counts;
    out.samples({"app", app.id}, counts.waits, 1e-3, 0, seconds(counts.wait_ns));
  }
  out.counter("appd_app_gil_waits_total",
              "How often a thread with something to do came for the interpreter's lock. Of the "
              "class gthread.");
  per_app(out, measured, [](const MeasuredApp& app) { return app.tally.counts.lock_waits; });
  out.counter("appd_app_gil_wait_seconds_total", "How long these threads waited for it.");
  per_app(out, measured,
          [](const MeasuredApp& app) { return seconds(app.tally.counts.lock_wait_ns); });
}

void put_connections(Exposition& out, const Measurement& measured) {
  out.gauge("appd_app_connections", "Open connections of clients.");
  per_app(out, measured, [](const MeasuredApp& app) { return std::int64_t{app.connections}; });
  out.gauge("appd_app_accept_queue",
            "Connections that no worker has accepted yet. Missing for apps that listen on unix "
            "sockets only.");
  for (const MeasuredApp& app : measured.apps) {
    if (app.queue) out.sample({{"app", app.id}}, std::int64_t{*app.queue});
  }
  out.counter("appd_app_received_bytes_total", "Bytes that clients have sent.");
  per_app(out, measured, [](const MeasuredApp& app) { return app.tally.counts.bytes_in; });
  out.counter("appd_app_sent_bytes_total", "Bytes that clients were sent.");
  per_app(out, measured, [](const MeasuredApp& app) { return app.tally.counts.bytes_out; });
}

void put_processes(Exposition& out, const Measurement& measured) {
  out.counter("appd_app_cpu_seconds_total", "How long the app's workers and zygotes have run.");
  per_app(out, measured, [](const MeasuredApp& app) { return seconds(app.tally.cpu); });
  out.gauge("appd_app_memory_bytes",
            "Resident memory of the app's workers and zygotes; what they share is in each.");
  per_app(out, measured, [](const MeasuredApp& app) { return app.memory; });
  std::array<std::string_view, model::kDeathCauses> causes;
  for (std::size_t i = 0; i < causes.size(); ++i) {
    causes[i] = word_of(static_cast<model::DeathCause>(i));
  }
  out.counter("appd_app_worker_exits_total",
              "Workers that have ended, by cause; asked: told to go, they finished what they had.");
  per_app_and(out, measured, "cause", causes,
              [](const MeasuredApp& app, std::size_t i) { return app.tally.exits[i]; });
  out.counter("appd_app_recycled_workers_total",
              "Workers that were replaced for max_requests and the like, or because somebody asked "
              "for it.");
  per_app(out, measured, [](const MeasuredApp& app) { return app.tally.recycled; });
  out.counter("appd_app_log_lost_lines_total", "Lines that could not be written to the logs.");
  per_app(out, measured, [](const MeasuredApp& app) { return app.tally.log_lost_lines; });
  out.counter("appd_app_log_lost_bytes_total", "Bytes that could not be written to the logs.");
  per_app(out, measured, [](const MeasuredApp& app) { return app.tally.log_lost_bytes; });
}

void put_changes(Exposition& out, const Measurement& measured) {
  out.counter("appd_app_operations_total", "Changes of the app that are over, by how they ended.");
  for (const MeasuredApp& app : measured.apps) {
    for (std::size_t kind = 0; kind < kKinds.size(); ++kind) {
      for (std::size_t outcome = 0; outcome < kOutcomes.size(); ++outcome) {
        out.sample({{"app", app.id}, {"kind", kKinds[kind]}, {"outcome", kOutcomes[outcome]}},
                   app.tally.operations[kind][outcome]);
      }
    }
  }
  out.gauge("appd_app_operations_in_progress", "Changes of the app that are on their way.");
  per_app(out, measured, [](const MeasuredApp& app) { return std::int64_t{app.open_operations}; });
  out.counter("appd_app_rollout_failures_total", "Rollouts that did not make it, by cause.");
  per_app_and(out, measured, "cause", kFailures,
              [](const MeasuredApp& app, std::size_t i) { return app.tally.failures[i]; });
}

void put_workers(Exposition& out, const Measurement& measured) {
  out.counter("appd_worker_requests_total", "Requests of one worker. Numbers are used again.");
  per_worker(out, measured, [](const MeasuredWorker& worker) { return worker.counts.requests; });
  out.gauge("appd_worker_requests_in_flight", "Requests that one worker has inside the app.");
  per_worker(out, measured,
             [](const MeasuredWorker& worker) { return std::int64_t{worker.view.busy}; });
  out.counter("appd_worker_cpu_seconds_total", "How long one worker has run.");
  per_worker(out, measured, [](const MeasuredWorker& worker) { return seconds(worker.cpu); });
  out.gauge("appd_worker_memory_bytes", "Resident memory of one worker, shared pages included.");
  per_worker(out, measured, [](const MeasuredWorker& worker) { return worker.view.memory; });
  out.gauge("appd_worker_start_time_seconds", "When one worker was forked, in Unix time.");
  per_worker(out, measured,
             [](const MeasuredWorker& worker) { return seconds(worker.view.start_time); });
}

void put_appd(Exposition& out, const Measurement& measured, const model::ServerInfo& info,
              const runtime::OwnProcess& own) {
  out.counter("appd_api_calls_total", "Calls of the control API that have ended.");
  for (const auto& [call, count] : measured.calls) {
    out.sample({{"method", call.first}, {"code", call.second}}, count);
  }
  out.gauge("appd_build_info", "1, with the version of appd.");
  out.sample({{"version", info.version}}, std::int64_t{1});
  out.counter("process_cpu_seconds_total", "How long appd itself has run.");
  out.sample({}, seconds(own.cpu));
  out.gauge("process_resident_memory_bytes", "Resident memory of appd itself.");
  out.sample({}, own.resident);
  out.gauge("process_virtual_memory_bytes", "Virtual memory of appd itself.");
  out.sample({}, own.virtual_size);
  out.gauge("process_open_fds", "Descriptors that appd has open.");
  out.sample({}, own.open_files);
  out.gauge("process_max_fds", "Descriptors that appd may have open.");
  out.sample({}, own.most_files);
  out.gauge("process_threads", "Threads of appd.");
  out.sample({}, own.threads);
  out.gauge("process_start_time_seconds", "When appd was started, in Unix time.");
  out.sample({}, seconds(info.start_time));
}

}  // namespace

std::string expose(const Measurement& measured, const model::ServerInfo& info,
                   const runtime::OwnProcess& own) {
  Exposition out;
  put_state(out, measured);
  put_requests(out, measured);
  put_connections(out, measured);
  put_processes(out, measured);
  put_changes(out, measured);
  put_workers(out, measured);
  put_appd(out, measured, info, own);
  return out.take();
}

}  // namespace appd::metrics
