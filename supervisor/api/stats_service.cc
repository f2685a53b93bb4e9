// Stats: measurements at intervals, and what came between two of them. A watcher keeps the last
// measurement that it has sent; it is measured for when it has room for the next.
#include <algorithm>
#include <cmath>
#include <tuple>

#include "supervisor/api/ring.h"
#include "supervisor/api/services.h"
#include "supervisor/api/stream_call.h"
#include "supervisor/core/canary.h"

namespace appd::api {
namespace {

using Stats = v1::Stats::Service;
using model::Measurement;
using MeasurementPtr = std::shared_ptr<const Measurement>;
using std::chrono::nanoseconds;
using std::chrono::system_clock;

constexpr std::chrono::milliseconds kShortest{100};
constexpr std::chrono::hours kLongest{1};

template <typename Buckets>
std::optional<double> percentile_of(const Buckets& buckets, double part) {
  core::Figures figures;
  std::copy(std::begin(buckets), std::end(buckets), figures.latency.begin());
  const double found = figures.percentile(part);
  return found > 0 ? std::optional(found) : std::nullopt;
}

void put(double seconds, google::protobuf::Duration& out) {
  const double whole = std::floor(seconds);
  out.set_seconds(static_cast<std::int64_t>(whole));
  out.set_nanos(static_cast<std::int32_t>((seconds - whole) * 1e9));
}

// `since` and `over` are of the measurement before; over is 0 if there is none.
void fill_traffic(const Counts& counts, const Counts& since, double over, v1::Traffic& out) {
  out.set_requests(static_cast<std::int64_t>(counts.requests));
  out.set_errors(static_cast<std::int64_t>(errors(counts)));
  out.set_bytes_in(static_cast<std::int64_t>(counts.bytes_in));
  out.set_bytes_out(static_cast<std::int64_t>(counts.bytes_out));
  if (over <= 0) return;
  const Counts came = growth(since, counts);
  out.set_requests_per_second(static_cast<double>(came.requests) / over);
  out.set_errors_per_second(static_cast<double>(errors(came)) / over);
  // The buckets of latencies are in microseconds, and core::Figures takes them for that.
  if (auto p50 = percentile_of(came.latency, 0.5)) put(*p50 / 1e3, *out.mutable_p50());
  if (auto p99 = percentile_of(came.latency, 0.99)) put(*p99 / 1e3, *out.mutable_p99());
  // Those of waits are in milliseconds, and the first one is of those that have hardly waited.
  const auto wait = percentile_of(came.waits, 0.99);
  if (wait && *wait > 1e-3) put(*wait, *out.mutable_wait_p99());
}

double cpu_of(nanoseconds now, nanoseconds before, double over) {
  return over <= 0 || now < before ? 0 : static_cast<double>((now - before).count()) / 1e9 / over;
}

// The same one in the measurement before, or nothing. Both are sorted: apps by id, workers by app
// and id.
const model::MeasuredApp* find(const Measurement* in, const model::MeasuredApp& app) {
  if (in == nullptr) return nullptr;
  const auto found = std::lower_bound(in->apps.begin(), in->apps.end(), app,
                                      [](const auto& a, const auto& b) { return a.id < b.id; });
  return found == in->apps.end() || found->uid != app.uid ? nullptr : &*found;
}

const model::MeasuredWorker* find(const Measurement* in, const model::MeasuredWorker& worker) {
  if (in == nullptr) return nullptr;
  const auto place = [](const model::MeasuredWorker& each) {
    return std::tie(each.view.app, each.view.id);
  };
  const auto found =
      std::lower_bound(in->workers.begin(), in->workers.end(), worker,
                       [&](const auto& a, const auto& b) { return place(a) < place(b); });
  const bool same = found != in->workers.end() && place(*found) == place(worker) &&
                    found->view.pid == worker.view.pid;
  return same ? &*found : nullptr;
}

void fill(const model::MeasuredApp& app, const model::MeasuredApp* before, double over,
          v1::AppStats& out) {
  out.set_name(app_name(app.id));
  out.set_state(to_proto(app.state));
  out.set_process_state(to_proto(app.process_state));
  out.set_worker_class(app.worker_class);
  out.set_rollout(app.rollout);
  out.set_wanted_workers(app.wanted_workers);
  out.set_ready_workers(app.ready_workers);
  if (before == nullptr) over = 0;
  const Counts since = before != nullptr ? before->tally.counts : Counts();
  fill_traffic(app.tally.counts, since, over, *out.mutable_traffic());
  out.mutable_traffic()->set_busy(app.busy);
  out.mutable_traffic()->set_connections(app.connections);
  if (app.queue) out.set_queue(*app.queue);
  if (before != nullptr) out.set_cpu(cpu_of(app.tally.cpu, before->tally.cpu, over));
  out.set_memory(app.memory);
  out.set_unexpected_exits(app.tally.unexpected_exits());
  out.set_recycled_workers(app.tally.recycled);
}

// One that has come since then has done all it has within that time.
void fill(const model::MeasuredWorker& worker, const model::MeasuredWorker* before, double over,
          v1::WorkerStats& out) {
  const model::WorkerView& view = worker.view;
  out.set_name(worker_name(view.app, view.id));
  out.set_pid(view.pid);
  out.set_state(to_proto(view.state));
  out.set_worker_class(view.effective_worker_class);
  out.set_rollout(view.rollout);
  out.set_threads(view.threads);
  to_proto(view.start_time, *out.mutable_start_time());
  const Counts since = before != nullptr ? before->counts : Counts();
  fill_traffic(worker.counts, since, over, *out.mutable_traffic());
  out.mutable_traffic()->set_busy(view.busy);
  out.mutable_traffic()->set_connections(view.connections);
  out.set_cpu(cpu_of(worker.cpu, before != nullptr ? before->cpu : nanoseconds(0), over));
  out.set_memory(view.memory);
  out.set_recycling(view.recycling);
}

// `before` may be null.
void fill(const Measurement& now, const Measurement* before, const model::AppScope& scope,
          v1::WatchStatsResponse& out) {
  to_proto(now.time, *out.mutable_time());
  double over = 0;
  if (before != nullptr) {
    over = std::chrono::duration<double>(now.at - before->at).count();
    put(over, *out.mutable_over());
  }
  for (const model::MeasuredApp& app : now.apps) {
    if (scope.holds(app.id)) fill(app, find(before, app), over, *out.add_apps());
  }
  for (const model::MeasuredWorker& worker : now.workers) {
    if (!scope.holds(worker.view.app)) continue;
    fill(worker, find(before, worker), over, *out.add_workers());
  }
}

class WatchStatsCall final : public StreamCall<v1::WatchStatsRequest, v1::WatchStatsResponse> {
 public:
  WatchStatsCall(CallHost& host, reconcile::Control& control)
      : StreamCall(host), control_(control) {}

 private:
  void start() override {
    if (!request().app().empty()) {
      const auto id = parse_app_name(request().app(), "app");
      if (!id) return reject(id.rejection());
      app_ = id.value();
      about("resource", request().app());
    }
    if (request().has_interval()) {
      const auto& given = request().interval();
      // Beyond an hour it does not matter by how much.
      const auto seconds = std::clamp<std::int64_t>(given.seconds(), -1, 1'000'000);
      interval_ = std::chrono::seconds(seconds) + nanoseconds(given.nanos());
      if (interval_ < kShortest || interval_ > kLongest) {
        return reject(request_invalid("interval", "must be from 100 ms to 1 h"));
      }
    }
    due_ = system_clock::now();
    measure();
  }

  void measure() {
    control_.measure(app_.empty() ? std::nullopt : std::optional(app_),
                     [me = weak(this), mailbox = host_.mailbox()](auto answer) {
                       mailbox->post([me, answer = std::move(answer)] {
                         if (const auto call = me.lock()) call->take(answer);
                       });
                     });
  }

  void take(const Answer<MeasurementPtr>& answer) {
    if (ended()) return;
    if (!answer) return reject(answer.rejection());
    next_ = answer.value();
    pump();
  }

  bool write_more(v1::WatchStatsResponse& message) override {
    if (next_ == nullptr) return false;
    fill(*next_, last_.get(), scope(app_), message);
    last_ = std::exchange(next_, nullptr);
    set_ring();
    return true;
  }

  // A pace is kept, but what was missed is not made up for.
  void set_ring() {
    due_ = std::max(due_ + std::chrono::duration_cast<system_clock::duration>(interval_),
                    system_clock::now());
    ring_ = new Ring(host_.queue(), due_, [me = weak(this)] {
      const auto call = me.lock();
      if (!call) return;
      call->ring_ = nullptr;
      if (!call->ended()) call->measure();
    });
  }

  void on_done() override {
    if (Ring* ring = std::exchange(ring_, nullptr)) ring->stop();
  }

  reconcile::Control& control_;
  std::string app_;
  nanoseconds interval_ = std::chrono::seconds(1);
  system_clock::time_point due_;
  MeasurementPtr last_;  // sent
  MeasurementPtr next_;
  Ring* ring_ = nullptr;
};

}  // namespace

void StatsService::serve(CallHost& host) {
  serve_stream<WatchStatsCall>(host, service_, &Stats::WatchStats, control_);
}

}  // namespace appd::api
