// Threads with blocking calls: the client has a processor of its own, and is not what is measured.
#include "tests/load/api_load.h"

#include <grpcpp/grpcpp.h>

#include <cstdio>
#include <cstdlib>
#include <latch>
#include <memory>
#include <mutex>
#include <thread>

#include "appd/v1/apps.grpc.pb.h"
#include "appd/v1/events.grpc.pb.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace appd::load {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::duration_cast;
using std::chrono::microseconds;

constexpr std::chrono::seconds kPatience{60};

// A connection of its own: channels to one address share theirs otherwise.
std::shared_ptr<grpc::Channel> connect(const std::string& address) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetMaxReceiveMessageSize(64 << 20);
  return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
}

std::string reason_of(const grpc::Status& status) {
  google::rpc::Status details;
  if (details.ParseFromString(status.error_details())) {
    for (const auto& any : details.details()) {
      google::rpc::ErrorInfo info;
      if (any.UnpackTo(&info)) return info.reason();
    }
  }
  return "code " + std::to_string(status.error_code()) + ": " + status.error_message();
}

// A benchmark of what fails is none.
[[noreturn]] void give_up(const std::string& what, const grpc::Status& status) {
  std::fprintf(stderr, "apiload: %s: %s\n", what.c_str(), reason_of(status).c_str());
  std::_Exit(1);
}

microseconds since(Clock::time_point begin) {
  return duration_cast<microseconds>(Clock::now() - begin);
}

void join_all(std::vector<std::thread>& threads) {
  for (std::thread& thread : threads) thread.join();
}

// `call(client, stub)` by every client until time is up.
template <typename Call>
CallResult in_closed_loop(const CallLoad& load, Call call) {
  CallResult result;
  std::mutex mutex;
  std::latch ready(load.clients + 1);
  Clock::time_point begin;
  std::vector<std::thread> threads;
  for (int client = 0; client < load.clients; ++client) {
    threads.emplace_back([&, client] {
      const auto stub = v1::Apps::NewStub(connect(load.address));
      CallResult own;
      call(client, *stub);  // connects
      ready.arrive_and_wait();
      const Clock::time_point end = Clock::now() + load.duration;
      while (Clock::now() < end) {
        const Clock::time_point called = Clock::now();
        const grpc::Status status = call(client, *stub);
        if (status.ok()) {
          own.latency.add(since(called));
          ++own.done;
        } else {
          ++own.failed[reason_of(status)];
        }
      }
      const std::lock_guard lock(mutex);
      result.done += own.done;
      for (const auto& [reason, count] : own.failed) result.failed[reason] += count;
      result.latency.add(own.latency);
    });
  }
  ready.arrive_and_wait();
  begin = Clock::now();
  join_all(threads);
  result.duration = since(begin);
  return result;
}

grpc::Status scale(v1::Apps::Stub& stub, const std::string& app, int workers) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kPatience);
  v1::ScaleAppRequest request;
  request.set_name(app);
  request.set_workers(workers);
  v1::Operation operation;
  return stub.ScaleApp(&context, request, &operation);
}

// The changes of one app, in the order of their generations.
struct Changes {
  std::int64_t first_generation = 0;  // of the first change; each has the next
  std::mutex mutex;
  std::vector<Clock::time_point> called;
};

class Storm {
 public:
  explicit Storm(const WatchLoad& load)
      : load_(load), apps_(load.apps.size()), watching_(load.watchers + load.slow) {}

  WatchResult run() {
    note_generations();
    std::vector<std::thread> threads;
    for (int i = 0; i < load_.watchers + load_.slow; ++i) {
      threads.emplace_back([this, slow = i >= load_.watchers] { watch(slow); });
    }
    watching_.wait();
    const Clock::time_point begin = Clock::now();
    std::vector<std::thread> callers;
    for (int i = 0; i < load_.callers; ++i) callers.emplace_back([this, i] { change(i); });
    join_all(callers);
    result_.duration = since(begin);
    over_.count_down();
    join_all(threads);
    count();
    return std::move(result_);
  }

 private:
  void note_generations() {
    const auto stub = v1::Apps::NewStub(connect(load_.address));
    for (std::size_t i = 0; i < load_.apps.size(); ++i) {
      grpc::ClientContext context;
      v1::GetAppRequest request;
      request.set_name(load_.apps[i]);
      v1::App app;
      const grpc::Status status = stub->GetApp(&context, request, &app);
      if (!status.ok()) give_up(load_.apps[i], status);
      apps_[i].first_generation = app.generation() + 1;
      places_[load_.apps[i]] = i;
    }
  }

  // Each caller has apps of its own, so that generations are in the order of the calls.
  void change(int caller) {
    const auto stub = v1::Apps::NewStub(connect(load_.address));
    const auto callers = static_cast<std::size_t>(load_.callers);
    const int share = load_.changes / load_.callers;
    std::size_t at = static_cast<std::size_t>(caller);
    for (int done = 0; done < share; ++done) {
      Changes& app = apps_[at];
      const Clock::time_point called = Clock::now();
      std::size_t before = 0;
      {
        const std::lock_guard lock(app.mutex);
        before = app.called.size();
        app.called.push_back(called);
      }
      const grpc::Status status =
          scale(*stub, load_.apps[at], before % 2 == 0 ? load_.high : load_.low);
      const microseconds took = since(called);
      if (!status.ok()) give_up("ScaleApp", status);
      {
        const std::lock_guard lock(mutex_);
        ++result_.changes;
        result_.answer.add(took);
      }
      at += callers;
      if (at >= apps_.size()) at = static_cast<std::size_t>(caller);
    }
  }

  struct Sight {
    std::size_t app;
    std::size_t change;
    Clock::time_point at;
  };

  void watch(bool slow) {
    const auto stub = v1::Events::NewStub(connect(load_.address));
    grpc::ClientContext context;
    v1::WatchRequest request;
    const auto stream = stub->Watch(&context, request);
    v1::WatchResponse event;
    std::vector<std::size_t> seen(apps_.size(), 0);
    std::vector<Sight> sights;
    std::uint64_t messages = 0;
    bool began = false;
    while (!began && stream->Read(&event)) began = event.has_synced();
    if (!began) give_up("Watch", stream->Finish());
    watching_.count_down();
    if (slow) over_.wait();
    while (!all_seen(seen) && stream->Read(&event)) {
      const Clock::time_point now = Clock::now();
      ++messages;
      if (!event.has_app()) continue;
      const std::size_t place = places_.at(event.app().name());
      const std::int64_t last = event.app().generation() - apps_[place].first_generation + 1;
      for (; static_cast<std::int64_t>(seen[place]) < last; ++seen[place]) {
        sights.push_back({place, seen[place], now});
      }
    }
    const bool complete = all_seen(seen);
    if (complete) context.TryCancel();
    const grpc::Status status = stream->Finish();
    const std::lock_guard lock(mutex_);
    if (slow) {
      ++result_.slow_ended[status.error_code() == grpc::StatusCode::CANCELLED ? "kept up"
                                                                              : reason_of(status)];
      return;
    }
    if (!complete) ++result_.watchers_ended;
    result_.messages += messages;
    sights_.insert(sights_.end(), sights.begin(), sights.end());
  }

  // Of all changes that will be made, so that a watcher knows when it is done.
  bool all_seen(const std::vector<std::size_t>& seen) const {
    std::size_t sum = 0;
    for (const std::size_t count : seen) sum += count;
    const int share = load_.changes / load_.callers;
    return sum >= static_cast<std::size_t>(share * load_.callers);
  }

  void count() {
    std::vector<std::vector<std::pair<std::uint64_t, Clock::time_point>>> last(apps_.size());
    for (std::size_t i = 0; i < apps_.size(); ++i) last[i].resize(apps_[i].called.size());
    for (const Sight& sight : sights_) {
      const Clock::time_point called = apps_[sight.app].called[sight.change];
      result_.to_watcher.add(duration_cast<microseconds>(sight.at - called));
      auto& [count, at] = last[sight.app][sight.change];
      ++count;
      at = std::max(at, sight.at);
    }
    result_.seen = sights_.size();
    const auto wanted = static_cast<std::uint64_t>(load_.watchers) - result_.watchers_ended;
    for (std::size_t i = 0; i < apps_.size(); ++i) {
      for (std::size_t change = 0; change < last[i].size(); ++change) {
        const auto& [count, at] = last[i][change];
        if (count < wanted) result_.missed += wanted - count;
        if (count != 0) {
          result_.to_last.add(duration_cast<microseconds>(at - apps_[i].called[change]));
        }
      }
    }
  }

  const WatchLoad& load_;
  std::vector<Changes> apps_;
  std::map<std::string, std::size_t> places_;
  std::latch watching_;
  std::latch over_{1};
  std::mutex mutex_;  // guards what follows
  WatchResult result_;
  std::vector<Sight> sights_;
};

}  // namespace

CallResult get_calls(const CallLoad& load, const std::string& app) {
  return in_closed_loop(load, [&app](int, v1::Apps::Stub& stub) {
    grpc::ClientContext context;
    v1::GetAppRequest request;
    request.set_name(app);
    v1::App answer;
    return stub.GetApp(&context, request, &answer);
  });
}

CallResult scale_calls(const CallLoad& load, const std::vector<std::string>& apps, int low,
                       int high) {
  std::vector<std::uint64_t> calls(static_cast<std::size_t>(load.clients), 0);
  return in_closed_loop(load, [&](int client, v1::Apps::Stub& stub) {
    const auto at = static_cast<std::size_t>(client);
    return scale(stub, apps[at % apps.size()], calls[at]++ % 2 == 0 ? high : low);
  });
}

WatchResult watch_storm(const WatchLoad& load) { return Storm(load).run(); }

}  // namespace appd::load
