// The Stats service: what it refuses, the pace, and what lies between two measurements.
#include <atomic>

#include "appd/v1/stats.grpc.pb.h"
#include "tests/support/eventually.h"
#include "tests/unit/supervisor/api/api_fixture.h"

namespace appd::api {
namespace {

using namespace std::chrono_literals;

class StatsTest : public ApiTest {
 protected:
  // One watch; cancelled at the end of the test.
  struct Watch {
    Watch(v1::Stats::Stub& stub, const v1::WatchStatsRequest& request) {
      context.set_deadline(std::chrono::system_clock::now() + 30s);
      reader = stub.WatchStats(&context, request);
    }
    ~Watch() {
      context.TryCancel();
      v1::WatchStatsResponse rest;
      while (reader->Read(&rest)) {
      }
    }
    v1::WatchStatsResponse next() {
      v1::WatchStatsResponse response;
      if (!reader->Read(&response)) ADD_FAILURE() << reader->Finish().error_message();
      return response;
    }
    grpc::ClientContext context;
    std::unique_ptr<grpc::ClientReader<v1::WatchStatsResponse>> reader;
  };

  std::unique_ptr<Watch> watch(const v1::WatchStatsRequest& request) {
    if (!stub_) stub_ = v1::Stats::NewStub(channel());
    return std::make_unique<Watch>(*stub_, request);
  }
  static v1::WatchStatsRequest request(std::chrono::milliseconds interval,
                                       const std::string& app = "") {
    v1::WatchStatsRequest request;
    request.set_app(app);
    request.mutable_interval()->set_seconds(interval.count() / 1000);
    request.mutable_interval()->set_nanos(static_cast<std::int32_t>(interval.count() % 1000) *
                                          1'000'000);
    return request;
  }
  grpc::Status refusal_of(const v1::WatchStatsRequest& request) {
    const auto watching = watch(request);
    v1::WatchStatsResponse none;
    EXPECT_FALSE(watching->reader->Read(&none));
    return watching->reader->Finish();
  }
  // An app with one worker, as it is `since` the measurements began.
  static model::Measurement measurement(std::chrono::seconds since, std::uint64_t requests) {
    model::Measurement out;
    out.at = std::chrono::steady_clock::time_point(1h + since);
    model::MeasuredApp app;
    app.id = "web";
    app.uid = "uid";
    app.tally.counts.requests = 1000 + requests;
    app.tally.counts.answers[5] = requests / 10;
    app.tally.counts.latency[10] = requests;
    app.tally.counts.waits[3] = requests;
    app.tally.cpu = since / 2;
    app.tally.exits.back() = 2;
    app.busy = 3;
    out.apps.push_back(app);
    model::MeasuredWorker worker;
    worker.view = StatsTest::worker("web", 1);
    worker.view.pid = 7;
    worker.counts.requests = requests;
    worker.cpu = std::chrono::nanoseconds(since) / 4;
    out.workers.push_back(worker);
    return out;
  }

  std::unique_ptr<v1::Stats::Stub> stub_;
};

TEST_F(StatsTest, TheFirstMessageComesAtOnceAndHasNoRates) {
  control_.set_measurement(measurement(0s, 5));
  const auto response = watch(request(1h))->next();
  EXPECT_FALSE(response.has_over());
  ASSERT_EQ(response.apps_size(), 1);
  const v1::AppStats& app = response.apps(0);
  EXPECT_EQ(app.name(), "apps/web");
  EXPECT_EQ(app.traffic().requests(), 1005);
  EXPECT_EQ(app.traffic().busy(), 3);
  EXPECT_EQ(app.unexpected_exits(), 2);
  EXPECT_FALSE(app.has_queue());
  EXPECT_EQ(app.traffic().requests_per_second(), 0);
  EXPECT_FALSE(app.traffic().has_p50());
  EXPECT_EQ(response.workers(0).name(), "apps/web/workers/1");
  EXPECT_EQ(response.workers(0).traffic().requests(), 5);
}

TEST_F(StatsTest, RatesAreOfTheTimeSinceTheLastMessage) {
  control_.set_measurement(measurement(0s, 100));
  const auto watching = watch(request(100ms));
  watching->next();
  control_.set_measurement(measurement(10s, 200));
  v1::WatchStatsResponse response;
  do {
    response = watching->next();
  } while (response.over().seconds() == 0);
  EXPECT_EQ(response.over().seconds(), 10);
  const v1::Traffic& traffic = response.apps(0).traffic();
  EXPECT_DOUBLE_EQ(traffic.requests_per_second(), 10);
  EXPECT_DOUBLE_EQ(traffic.errors_per_second(), 1);
  // All of the new ones took from 512 to 1024 microseconds, and had waited from 4 to 8 ms.
  EXPECT_GE(traffic.p50().nanos(), 512'000);
  EXPECT_LE(traffic.p99().nanos(), 1'024'000);
  EXPECT_LT(traffic.p50().nanos(), traffic.p99().nanos());
  EXPECT_GE(traffic.wait_p99().nanos(), 4'000'000);
  EXPECT_LE(traffic.wait_p99().nanos(), 8'000'000);
  EXPECT_DOUBLE_EQ(response.apps(0).cpu(), 0.5);
  EXPECT_DOUBLE_EQ(response.workers(0).traffic().requests_per_second(), 10);
  EXPECT_DOUBLE_EQ(response.workers(0).cpu(), 0.25);
}

TEST_F(StatsTest, AWorkerThatHasComeMeanwhileHasDoneAllSince) {
  control_.set_measurement(measurement(0s, 100));
  const auto watching = watch(request(100ms));
  watching->next();
  model::Measurement later = measurement(10s, 50);
  later.apps[0].tally.counts.requests = 2000;
  later.workers[0].view.pid = 8;
  control_.set_measurement(later);
  v1::WatchStatsResponse response;
  do {
    response = watching->next();
  } while (response.over().seconds() == 0);
  EXPECT_DOUBLE_EQ(response.workers(0).traffic().requests_per_second(), 5);
}

TEST_F(StatsTest, OfOneAppOnly) {
  model::Measurement both = measurement(0s, 1);
  both.apps.push_back(both.apps[0]);
  both.apps[1].id = "other";
  both.workers.push_back(both.workers[0]);
  both.workers[1].view.app = "other";
  control_.set_measurement(both);
  const auto response = watch(request(1h, "apps/other"))->next();
  ASSERT_EQ(response.apps_size(), 1);
  EXPECT_EQ(response.apps(0).name(), "apps/other");
  ASSERT_EQ(response.workers_size(), 1);
  EXPECT_EQ(response.workers(0).name(), "apps/other/workers/1");
}

TEST_F(StatsTest, RefusesWhatMakesNoSense) {
  EXPECT_EQ(Details(refusal_of(request(99ms))).fields(), "interval");
  EXPECT_EQ(Details(refusal_of(request(1h + 1ms))).fields(), "interval");
  EXPECT_EQ(Details(refusal_of(request(-1s))).fields(), "interval");
  EXPECT_EQ(Details(refusal_of(request(1s, "web"))).fields(), "app");
  control_.refusal = {Error{ErrorCode::NotFound, "APP_NOT_FOUND", "there is no app web"}, {}};
  EXPECT_EQ(refusal_of(request(1s, "apps/web")).error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST_F(StatsTest, EndsWithItsClientHoweverLongTheIntervalIs) {
  control_.set_measurement(measurement(0s, 1));
  watch(request(1h))->next();
  EXPECT_TRUE(test::eventually([&] {
    return control_.calls().contains({"appd.v1.Stats/WatchStats", "CANCELLED"});
  }));
  const auto other = watch(request(1h));
  other->next();
  server_->shutdown();
  v1::WatchStatsResponse none;
  EXPECT_FALSE(other->reader->Read(&none));
  EXPECT_EQ(other->reader->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST_F(StatsTest, CallsAreCountedByMethodAndCode) {
  v1::GetAppRequest request;
  request.set_name("apps/web");
  v1::App none;
  EXPECT_FALSE(call(apps(), &v1::Apps::Stub::GetApp, request, &none).ok());
  v1::ServerInfo info;
  EXPECT_TRUE(call(system(), &v1::System::Stub::GetServerInfo, {}, &info).ok());
  const model::CallCounts expected = {{{"appd.v1.Apps/GetApp", "NOT_FOUND"}, 1},
                                      {{"appd.v1.System/GetServerInfo", "OK"}, 1}};
  EXPECT_EQ(control_.calls(), expected);
}

}  // namespace
}  // namespace appd::api
