// Watch over a real connection: state, changes, resumption, compaction, slow and vanished readers.
#include "tests/unit/supervisor/api/api_fixture.h"

namespace appd::api {
namespace {

class EventsTest : public ApiTest {
 protected:
  // One watch; cancelled at the end of the test.
  struct Watch {
    Watch(v1::Events::Stub& stub, std::int64_t start_revision, const std::string& app) {
      v1::WatchRequest request;
      request.set_start_revision(start_revision);
      request.set_app(app);
      context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30));
      reader = stub.Watch(&context, request);
    }
    ~Watch() {
      context.TryCancel();
      v1::WatchResponse rest;
      while (reader->Read(&rest)) {
      }
    }
    v1::WatchResponse next() {
      v1::WatchResponse response;
      if (!reader->Read(&response)) ADD_FAILURE() << reader->Finish().error_message();
      return response;
    }
    // Of a watch that ends by itself.
    grpc::Status end() {
      v1::WatchResponse rest;
      while (reader->Read(&rest)) {
      }
      return reader->Finish();
    }
    grpc::ClientContext context;
    std::unique_ptr<grpc::ClientReader<v1::WatchResponse>> reader;
  };

  std::unique_ptr<Watch> watch(std::int64_t start_revision, const std::string& app = "") {
    if (!stub_) stub_ = events();
    return std::make_unique<Watch>(*stub_, start_revision, app);
  }
  void publish(const std::string& app_id, const std::string& text) {
    control_.hub->publish({0, {}, app_id, model::Note{text}});
  }
  std::unique_ptr<v1::Events::Stub> stub_;
};

TEST_F(EventsTest, SendsThePresentStateThenSyncedThenChanges) {
  control_.state.apps = {app("a"), app("b")};
  control_.state.workers = {worker("a", 1)};
  const auto watching = watch(0);
  EXPECT_EQ(watching->next().app().name(), "apps/a");
  EXPECT_EQ(watching->next().app().name(), "apps/b");
  EXPECT_EQ(watching->next().worker().name(), "apps/a/workers/1");
  const v1::WatchResponse synced = watching->next();
  EXPECT_TRUE(synced.has_synced());
  EXPECT_EQ(synced.revision(), 100);
  publish("a", "first");
  publish("b", "second");
  const v1::WatchResponse first = watching->next();
  EXPECT_EQ(first.note().text(), "first");
  EXPECT_EQ(first.revision(), 101);
  EXPECT_EQ(watching->next().note().text(), "second");
}

TEST_F(EventsTest, FollowsOneAppOnly) {
  control_.state.apps = {app("a"), app("b")};
  control_.state.workers = {worker("a", 1), worker("b", 1)};
  const auto watching = watch(0, "apps/b");
  EXPECT_EQ(watching->next().app().name(), "apps/b");
  EXPECT_EQ(watching->next().worker().name(), "apps/b/workers/1");
  EXPECT_TRUE(watching->next().has_synced());
  publish("a", "not this");
  publish("b", "this");
  EXPECT_EQ(watching->next().note().text(), "this");
}

TEST_F(EventsTest, ResumesFromARevisionWithoutGapOrRepetition) {
  for (const char* text : {"101", "102", "103"}) publish("a", text);
  const auto watching = watch(102);
  EXPECT_EQ(watching->next().note().text(), "102");
  EXPECT_EQ(watching->next().note().text(), "103");
  publish("a", "104");
  EXPECT_EQ(watching->next().revision(), 104);
}

TEST_F(EventsTest, ARevisionThatIsNoLongerKeptEndsTheWatchAndSaysWhereToBegin) {
  for (std::size_t i = 0; i < reconcile::WatchHub::kKept + 5; ++i) publish("a", "");
  const grpc::Status status = watch(103)->end();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::OUT_OF_RANGE);
  const Details details(status);
  EXPECT_EQ(details.info.reason(), "REVISION_COMPACTED");
  EXPECT_EQ(details.info.metadata().at("start_revision"), "0");
  EXPECT_EQ(details.info.metadata().at("oldest_revision"),
            std::to_string(control_.hub->oldest_revision()));
  EXPECT_EQ(details.info.metadata().at("revision"), std::to_string(control_.revision()));
}

TEST_F(EventsTest, AReaderThatFallsBehindIsEndedInsteadOfQueuedFor) {
  const auto watching = watch(0);
  EXPECT_TRUE(watching->next().has_synced());
  // Far more than the ring and all buffers on the way hold, while nobody reads.
  const std::string text(4096, 'x');
  for (std::size_t i = 0; i < 2 * reconcile::WatchHub::kKept; ++i) publish("a", text);
  EXPECT_EQ(watching->end().error_code(), grpc::StatusCode::OUT_OF_RANGE);
}

TEST_F(EventsTest, AWatchThatIsCancelledGivesItsCursorBack) {
  auto watching = watch(0);
  EXPECT_TRUE(watching->next().has_synced());
  EXPECT_TRUE(control_.reaches_subscriptions(1));
  watching.reset();
  EXPECT_TRUE(control_.reaches_subscriptions(0));
  publish("a", "to nobody");
}

TEST_F(EventsTest, ManyWatchersGetEverything) {
  std::vector<std::unique_ptr<Watch>> all;
  for (int i = 0; i < 50; ++i) all.push_back(watch(101));
  ASSERT_TRUE(control_.reaches_subscriptions(50));
  for (int i = 0; i < 200; ++i) publish("a", "event");
  for (const auto& watching : all) {
    for (int i = 0; i < 200; ++i) ASSERT_EQ(watching->next().revision(), 101 + i);
  }
}

TEST_F(EventsTest, RefusesBadRequests) {
  EXPECT_EQ(Details(watch(-1)->end()).fields(), "start_revision");
  EXPECT_EQ(Details(watch(0, "web")->end()).fields(), "app");
  EXPECT_EQ(Details(watch(0, "apps/absent")->end()).info.reason(), "APP_NOT_FOUND");
}

TEST_F(EventsTest, ShuttingDownEndsWatchesWithAHintToComeBack) {
  const auto watching = watch(0);
  EXPECT_TRUE(watching->next().has_synced());
  server_->shutdown();
  const grpc::Status status = watching->end();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(Details(status).info.reason(), "SHUTTING_DOWN");
  EXPECT_EQ(Details(status).retry.retry_delay().seconds(), 1);
  EXPECT_TRUE(control_.reaches_subscriptions(0));
}

TEST_F(EventsTest, ShuttingDownDoesNotWaitForAReaderThatDoesNotRead) {
  const auto watching = watch(0);
  EXPECT_TRUE(watching->next().has_synced());
  const std::string text(4096, 'x');
  for (std::size_t i = 0; i < 2 * reconcile::WatchHub::kKept; ++i) publish("a", text);
  server_->shutdown(std::chrono::milliseconds(50));
  EXPECT_FALSE(watching->end().ok());
}

}  // namespace
}  // namespace appd::api
