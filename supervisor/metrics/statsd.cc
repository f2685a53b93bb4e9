// Differences as statsd's counters, timers and gauges.
#include "supervisor/metrics/statsd.h"

#include <pthread.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>

namespace appd::metrics {
namespace {

constexpr std::chrono::seconds kInterval{1};

struct Came {
  Counts counts;
  std::int64_t workers = 0;
};

// As gunicorn's: with one dot at its end, unless there is none of it.
std::string filled_in(std::string prefix, const std::string& app) {
  constexpr std::string_view kApp = "{app}";
  for (std::size_t at = 0; (at = prefix.find(kApp, at)) != std::string::npos; at += app.size()) {
    prefix.replace(at, kApp.size(), app);
  }
  while (prefix.ends_with('.')) prefix.pop_back();
  return prefix.empty() ? prefix : prefix + '.';
}

std::string name_of(std::uint16_t status) {
  if (status == 0) return "none";
  return status < 100 ? std::to_string(status) + "xx" : std::to_string(status);
}

// Lines, put together to datagrams.
class Lines {
 public:
  void put(const std::string& line) {
    if (datagrams_.empty() || datagrams_.back().size() + 1 + line.size() > kDatagram) {
      datagrams_.push_back(line);
    } else {
      datagrams_.back().append("\n").append(line);
    }
  }
  std::vector<std::string> take() { return std::move(datagrams_); }

 private:
  std::vector<std::string> datagrams_;
};

void put_counter(Lines& lines, const std::string& name, std::uint64_t count) {
  if (count > 0) lines.put(name + ":" + std::to_string(count) + "|c");
}

// statsd divides a sample by its rate: one stands for all of its bucket.
void put_durations(Lines& lines, const std::string& name, const Counts& counts) {
  for (std::size_t i = 0; i < std::size(counts.latency); ++i) {
    const std::uint64_t count = counts.latency[i];
    if (count == 0) continue;
    char text[96];
    const double middle = 0.75 * std::ldexp(1e-3, static_cast<int>(i));  // milliseconds
    const int size = std::snprintf(text, sizeof(text), ":%.6g|ms", middle);
    std::string line = name + std::string(text, static_cast<std::size_t>(size));
    if (count > 1) {
      std::snprintf(text, sizeof(text), "|@%.9g", 1.0 / static_cast<double>(count));
      line += text;
    }
    lines.put(line);
  }
}

}  // namespace

std::vector<std::string> statsd_lines(const model::Measurement* before,
                                      const model::Measurement& now, const std::string& prefix) {
  std::map<std::string, Came> all;
  for (const model::MeasuredApp& app : now.apps) {
    Came& came = all[filled_in(prefix, app.id)];
    came.workers += app.ready_workers;
    if (before == nullptr) continue;
    const auto old = std::find_if(before->apps.begin(), before->apps.end(),
                                  [&](const auto& other) { return other.uid == app.uid; });
    const Counts since = old != before->apps.end() ? old->tally.counts : Counts();
    came.counts += growth(since, app.tally.counts);
  }
  Lines lines;
  for (const auto& [begin, came] : all) {
    lines.put(begin + "gunicorn.workers:" + std::to_string(came.workers) + "|g");
    put_counter(lines, begin + "gunicorn.requests", came.counts.requests);
    for (std::size_t i = 0; i < kStatuses.size(); ++i) {
      put_counter(lines, begin + "gunicorn.request.status." + name_of(kStatuses[i]),
                  came.counts.answers[i]);
    }
    put_durations(lines, begin + "gunicorn.request.duration", came.counts);
  }
  return lines.take();
}

Result<std::unique_ptr<Statsd>> Statsd::start(const std::string& host, std::string prefix,
                                              reconcile::Control& control) {
  auto to = TRY(runtime::Datagrams::open(host));
  return std::unique_ptr<Statsd>(new Statsd(std::move(to), std::move(prefix), control));
}

Statsd::Statsd(runtime::Datagrams to, std::string prefix, reconcile::Control& control)
    : to_(std::move(to)),
      prefix_(std::move(prefix)),
      control_(control),
      thread_([this] { run(); }) {}

Statsd::~Statsd() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  end_.notify_one();
  thread_.join();
}

void Statsd::run() {
  ::pthread_setname_np(::pthread_self(), "appd-statsd");
  MeasurementPtr before;
  do {
    auto now = read(control_);
    if (!now) continue;  // what comes is in the next one
    for (const std::string& datagram : statsd_lines(before.get(), **now, prefix_)) {
      to_.send(datagram);
    }
    before = *std::move(now);
  } while (rest());
}

// False: it is over.
bool Statsd::rest() {
  std::unique_lock lock(mutex_);
  return !end_.wait_for(lock, kInterval, [this] { return ending_; });
}

}  // namespace appd::metrics
