// The Logs service: what it refuses, and what comes over the stream.
#include "appd/v1/logs.grpc.pb.h"
#include "tests/support/temporary_directory.h"
#include "tests/unit/supervisor/api/api_fixture.h"

namespace appd::api {
namespace {

class Logs : public ApiTest {
 protected:
  Logs() {
    control_.logs_dir = logs_.path();
    auto reader = runtime::LogReader::start(logs_.path());
    APPD_CHECK(reader.has_value());
    control_.log_reader = *std::move(reader);
  }
  ~Logs() override {
    // Calls in hand end before the reader does.
    if (server_) server_->shutdown();
  }

  static v1::ReadLogsRequest request() {
    v1::ReadLogsRequest request;
    request.set_name("apps/web");
    return request;
  }
  std::unique_ptr<v1::Logs::Stub> stub() { return v1::Logs::NewStub(channel()); }
  // The lines of a query that ends.
  std::vector<v1::LogEntry> read(const v1::ReadLogsRequest& request) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
    auto reader = stub()->ReadLogs(&context, request);
    std::vector<v1::LogEntry> entries;
    v1::LogEntry entry;
    while (reader->Read(&entry)) entries.push_back(entry);
    status_ = reader->Finish();
    return entries;
  }
  // The field that a request is refused for.
  std::string refused(const v1::ReadLogsRequest& request) {
    EXPECT_TRUE(read(request).empty());
    EXPECT_EQ(status_.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
    return Details(status_).fields();
  }

  test::TemporaryDirectory logs_;
  grpc::Status status_;
};

TEST_F(Logs, ReadsLinesWithWhatTheyTell) {
  logs_.write("web.log", "2026-11-25T00:31:07.250Z 7/3 first\nsecond \xff\n");
  const auto entries = read(request());
  ASSERT_TRUE(status_.ok()) << status_.error_message();
  ASSERT_EQ(entries.size(), 2U);
  EXPECT_EQ(entries[0].app(), "apps/web");
  EXPECT_EQ(entries[0].source(), v1::ReadLogsRequest::APP);
  EXPECT_EQ(entries[0].time().seconds(), 1'795'566'667);
  EXPECT_EQ(entries[0].time().nanos(), 250'000'000);
  EXPECT_EQ(entries[0].rollout(), 7);
  EXPECT_EQ(entries[0].worker(), 3);
  EXPECT_EQ(entries[0].line(), "first");
  EXPECT_FALSE(entries[1].has_time());
  EXPECT_EQ(entries[1].line(), "second \xef\xbf\xbd");
}

TEST_F(Logs, GivesManyBatches) {
  std::string text;
  for (int i = 0; i < 5'000; ++i) text += std::to_string(i) + "\n";
  logs_.write("web.log", text);
  const auto entries = read(request());
  ASSERT_EQ(entries.size(), 5'000U);
  EXPECT_EQ(entries.back().line(), "4999");
}

TEST_F(Logs, FiltersByTextAndByPattern) {
  logs_.write("web.log", "error one\nerror 22\nfine 22\n");
  v1::ReadLogsRequest both = request();
  both.set_contains("error");
  both.set_matches("[0-9]{2}$");
  const auto entries = read(both);
  ASSERT_EQ(entries.size(), 1U);
  EXPECT_EQ(entries[0].line(), "error 22");
}

TEST_F(Logs, PassesTheQueryOn) {
  v1::ReadLogsRequest all = request();
  all.set_tail(3);
  all.set_worker(2);
  all.mutable_since_time()->set_seconds(1000);
  read(all);
  ASSERT_TRUE(control_.asked_logs);
  EXPECT_EQ(control_.asked_logs->tail, 3);
  EXPECT_EQ(control_.asked_logs->worker, 2);
  EXPECT_EQ(control_.asked_logs->since, model::WallTime(std::chrono::seconds(1000)));
  EXPECT_TRUE(control_.asked_logs->app);
  EXPECT_FALSE(control_.asked_logs->access);
  v1::ReadLogsRequest access = request();
  access.set_source(v1::ReadLogsRequest::ACCESS);
  read(access);
  EXPECT_FALSE(control_.asked_logs->app);
  EXPECT_TRUE(control_.asked_logs->access);
}

TEST_F(Logs, RefusesWhatMakesNoSense) {
  const auto with = [](const std::function<void(v1::ReadLogsRequest&)>& change) {
    v1::ReadLogsRequest out = request();
    change(out);
    return out;
  };
  EXPECT_EQ(refused(with([](auto& r) { r.set_name("web"); })), "name");
  EXPECT_EQ(refused(with([](auto& r) { r.set_tail(-1); })), "tail");
  EXPECT_EQ(refused(with([](auto& r) { r.set_tail(100'001); })), "tail");
  EXPECT_EQ(refused(with([](auto& r) { r.set_worker(0); })), "worker");
  EXPECT_EQ(refused(with([](auto& r) {
              r.set_worker(1);
              r.set_source(v1::ReadLogsRequest::ACCESS);
            })),
            "worker");
  EXPECT_EQ(refused(with([](auto& r) { r.set_source(v1::ReadLogsRequest::Source(9)); })), "source");
  EXPECT_EQ(refused(with([](auto& r) { r.set_matches("(["); })), "matches");
  EXPECT_EQ(refused(with([](auto& r) { r.set_contains(std::string(1001, 'x')); })), "contains");
  EXPECT_EQ(refused(with([](auto& r) { r.set_after("nonsense"); })), "after");
  EXPECT_EQ(refused(with([](auto& r) { r.mutable_since()->set_seconds(-1); })), "since");
  EXPECT_EQ(refused(with([](auto& r) {
              r.mutable_since();
              r.mutable_since_time();
            })),
            "since");
}

TEST_F(Logs, AnAppThatIsNotThereIsSaid) {
  control_.refusal =
      reconcile::Rejection{{ErrorCode::NotFound, "APP_NOT_FOUND", "there is no app web", 0}, {}};
  read(request());
  EXPECT_EQ(status_.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(Details(status_).info.reason(), "APP_NOT_FOUND");
}

TEST_F(Logs, FollowsUntilTheClientGoes) {
  logs_.write("web.log", "a\n");
  v1::ReadLogsRequest follow = request();
  follow.set_follow(true);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
  auto reader = stub()->ReadLogs(&context, follow);
  v1::LogEntry entry;
  ASSERT_TRUE(reader->Read(&entry));
  EXPECT_EQ(entry.line(), "a");
  logs_.write("web.log", "b\n");
  ASSERT_TRUE(reader->Read(&entry));
  EXPECT_EQ(entry.line(), "b");
  context.TryCancel();
  EXPECT_FALSE(reader->Read(&entry));
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
}

TEST_F(Logs, ReopensOneAppsOrAll) {
  v1::ReopenLogsRequest reopen;
  v1::ReopenLogsResponse response;
  reopen.set_name("apps/web");
  EXPECT_TRUE(call(stub(), &v1::Logs::Stub::ReopenLogs, reopen, &response).ok());
  EXPECT_EQ(control_.reopened->app, "web");
  EXPECT_EQ(control_.reopened->options.method, "ReopenLogs");
  reopen.set_name("apps/-");
  EXPECT_TRUE(call(stub(), &v1::Logs::Stub::ReopenLogs, reopen, &response).ok());
  EXPECT_EQ(control_.reopened->app, "");
  EXPECT_EQ(response.apps(), 2);
  reopen.set_name("web");
  EXPECT_EQ(Details(call(stub(), &v1::Logs::Stub::ReopenLogs, reopen, &response)).fields(), "name");
}

}  // namespace
}  // namespace appd::api
