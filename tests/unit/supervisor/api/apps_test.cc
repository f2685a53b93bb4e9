// Apps and Workers over a real connection: what reaches the core, and what comes back.
#include "tests/unit/supervisor/api/api_fixture.h"

namespace appd::api {
namespace {

using AppsTest = ApiTest;

TEST_F(AppsTest, CreateHandsEverythingToTheCore) {
  v1::CreateAppRequest request;
  request.set_app_id("web");
  request.mutable_app()->mutable_spec()->set_directory("/srv/web");
  request.mutable_app()->mutable_spec()->set_workers(4);
  request.set_validate_only(true);
  request.set_reason("first");
  request.set_request_id("9F1C3F6E-0D0A-4C5E-8F57-0C9A5A3C1B11");
  v1::App app;
  const grpc::Status status = call(apps(), &v1::Apps::Stub::CreateApp, request, &app);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(app.name(), "apps/web");
  EXPECT_EQ(app.spec().workers(), 4);
  ASSERT_TRUE(control_.created);
  EXPECT_EQ(control_.created->id, "web");
  EXPECT_EQ(control_.created->spec.directory, "/srv/web");
  const reconcile::CallOptions& options = control_.created->options;
  EXPECT_TRUE(options.validate_only);
  EXPECT_EQ(options.request_id, "9f1c3f6e-0d0a-4c5e-8f57-0c9a5a3c1b11");
  EXPECT_EQ(options.fingerprint.size(), 32u);
  EXPECT_EQ(options.method, "CreateApp");
  EXPECT_EQ(options.reason, "first");
}

TEST_F(AppsTest, RequestsThatMakeNoSenseNeverReachTheCore) {
  const auto fields = [this](const v1::CreateAppRequest& request) {
    v1::App app;
    const grpc::Status status = call(apps(), &v1::Apps::Stub::CreateApp, request, &app);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
    return Details(status).info.reason() + " " + Details(status).fields();
  };
  v1::CreateAppRequest request;
  EXPECT_EQ(fields(request), "REQUEST_INVALID app_id");
  request.set_app_id("apps/web");
  EXPECT_EQ(fields(request), "REQUEST_INVALID app_id");
  request.set_app_id("web");
  request.mutable_app()->set_name("apps/other");
  EXPECT_EQ(fields(request), "REQUEST_INVALID app.name");
  request.mutable_app()->set_name("apps/web");
  request.set_request_id("retry-1");
  EXPECT_EQ(fields(request), "REQUEST_INVALID request_id");
  EXPECT_FALSE(control_.created);
}

TEST_F(AppsTest, WhatCannotBeReadReachesTheCoreWhichTellsItWithAllElse) {
  v1::App app;
  v1::CreateAppRequest create;
  create.set_app_id("web");
  create.mutable_app()->mutable_spec()->mutable_timeout()->set_seconds(-1);
  ASSERT_TRUE(call(apps(), &v1::Apps::Stub::CreateApp, create, &app).ok());
  ASSERT_EQ(control_.created->unreadable.size(), 1U);
  EXPECT_EQ(control_.created->unreadable.front().field, "spec.timeout");
  v1::UpdateAppRequest update;
  *update.mutable_app() = create.app();
  update.mutable_app()->set_name("apps/web");
  ASSERT_TRUE(call(apps(), &v1::Apps::Stub::UpdateApp, update, &app).ok());
  model::AppSpec spec;
  spec.timeout = model::Milliseconds(7);
  const auto unreadable = control_.updated->edit(spec);
  ASSERT_EQ(unreadable.size(), 1U);
  EXPECT_EQ(unreadable.front().field, "spec.timeout");
  EXPECT_EQ(spec.timeout.count(), 7) << "it stays as it was";
}

TEST_F(AppsTest, FingerprintsTellARetryFromAnotherRequest) {
  const auto fingerprint = [this](const v1::ScaleAppRequest& request) {
    v1::Operation operation;
    EXPECT_TRUE(call(apps(), &v1::Apps::Stub::ScaleApp, request, &operation).ok());
    return control_.updated->options.fingerprint;
  };
  control_.book = {operation(1, "web")};
  v1::ScaleAppRequest request;
  request.set_name("apps/web");
  request.set_workers(17);
  EXPECT_EQ(fingerprint(request), "");  // nothing to tell apart
  request.set_request_id(uuid(1));
  const std::string first = fingerprint(request);
  EXPECT_EQ(fingerprint(request), first);
  request.set_request_id(uuid(2));
  EXPECT_EQ(fingerprint(request), first);
  request.set_workers(18);
  EXPECT_NE(fingerprint(request), first);
}

TEST_F(AppsTest, GetAnswersTheAppOrSaysWhichIsNotThere) {
  control_.state.apps = {app("api"), app("web")};
  v1::GetAppRequest request;
  request.set_name("apps/web");
  v1::App found;
  ASSERT_TRUE(call(apps(), &v1::Apps::Stub::GetApp, request, &found).ok());
  EXPECT_EQ(found.spec().directory(), "/srv/web");
  request.set_name("apps/absent");
  const Details absent(call(apps(), &v1::Apps::Stub::GetApp, request, &found));
  EXPECT_EQ(absent.info.reason(), "APP_NOT_FOUND");
  EXPECT_EQ(absent.resource.resource_type(), "appd.v1.App");
  EXPECT_EQ(absent.resource.resource_name(), "apps/absent");
  request.set_name("web");
  EXPECT_EQ(Details(call(apps(), &v1::Apps::Stub::GetApp, request, &found)).fields(), "name");
}

TEST_F(AppsTest, ListsInPagesAndSaysAsOfWhichRevision) {
  control_.state.apps = {app("a"), app("b"), app("c")};
  v1::ListAppsRequest request;
  request.set_page_size(2);
  v1::ListAppsResponse page;
  ASSERT_TRUE(call(apps(), &v1::Apps::Stub::ListApps, request, &page).ok());
  EXPECT_EQ(page.apps_size(), 2);
  EXPECT_EQ(page.revision(), 100);
  request.set_page_token(page.next_page_token());
  v1::ListAppsResponse last;
  ASSERT_TRUE(call(apps(), &v1::Apps::Stub::ListApps, request, &last).ok());
  ASSERT_EQ(last.apps_size(), 1);
  EXPECT_EQ(last.apps(0).name(), "apps/c");
  EXPECT_EQ(last.next_page_token(), "");
  request.set_page_token("nonsense");
  EXPECT_EQ(Details(call(apps(), &v1::Apps::Stub::ListApps, request, &page)).fields(),
            "page_token");
}

TEST_F(AppsTest, UpdateAppliesItsMaskInTheCoreAndPassesTheEtagOn) {
  control_.state.apps = {app("web")};
  control_.state.apps[0].record.spec.workers = 17;
  control_.state.apps[0].record.spec.env = {{"A", "1"}, {"B", "2"}};
  v1::UpdateAppRequest request;
  request.mutable_app()->set_name("apps/web");
  request.mutable_app()->set_etag("W/\"5\"");
  request.mutable_app()->mutable_spec()->set_threads(8);
  request.mutable_app()->mutable_spec()->set_workers(99);
  request.mutable_update_mask()->add_paths("spec.threads");
  request.mutable_update_mask()->add_paths("spec.env.A");
  request.set_allow_missing(true);
  request.set_validate_only(true);
  v1::App updated;
  const grpc::Status status = call(apps(), &v1::Apps::Stub::UpdateApp, request, &updated);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(updated.spec().threads(), 8);
  EXPECT_EQ(updated.spec().workers(), 17);
  EXPECT_EQ(updated.spec().env().size(), 1u);
  EXPECT_EQ(control_.updated->options.etag, "W/\"5\"");
  EXPECT_TRUE(control_.updated->options.validate_only);
  EXPECT_TRUE(control_.updated->allow_missing);
  EXPECT_EQ(control_.updated->kind, model::OperationKind::Update);
  request.mutable_update_mask()->add_paths("observed.state");
  EXPECT_EQ(Details(call(apps(), &v1::Apps::Stub::UpdateApp, request, &updated)).fields(),
            "update_mask");
}

TEST_F(AppsTest, ScaleChangesWhatIsGivenAndAnswersTheOperation) {
  control_.state.apps = {app("web")};
  control_.state.apps[0].record.spec.threads = 3;
  control_.book = {operation(7, "web")};
  v1::ScaleAppRequest request;
  request.set_name("apps/web");
  request.set_workers(17);
  request.set_worker_class("gunicorn.workers.gthread.ThreadWorker");
  request.set_worker_connections(50);
  request.set_etag("W/\"1\"");
  v1::Operation scaled;
  ASSERT_TRUE(call(apps(), &v1::Apps::Stub::ScaleApp, request, &scaled).ok());
  EXPECT_EQ(scaled.name(), "operations/" + uuid(7));
  EXPECT_EQ(control_.updated->kind, model::OperationKind::Scale);
  EXPECT_EQ(control_.updated->options.etag, "W/\"1\"");
  model::AppSpec spec = control_.state.apps[0].record.spec;
  control_.updated->edit(spec);
  EXPECT_EQ(spec.workers, 17);
  EXPECT_EQ(spec.threads, 3);
  EXPECT_EQ(spec.worker_class, "gthread");
  EXPECT_EQ(spec.worker_connections, 50);
  EXPECT_EQ(spec.loop, "auto");
  request.set_worker_class("uvloop");
  ASSERT_TRUE(call(apps(), &v1::Apps::Stub::ScaleApp, request, &scaled).ok());
  control_.updated->edit(spec);
  EXPECT_EQ(spec.worker_class, "asgi");
  EXPECT_EQ(spec.loop, "uvloop");
  v1::ScaleAppRequest nothing;
  nothing.set_name("apps/web");
  EXPECT_EQ(Details(call(apps(), &v1::Apps::Stub::ScaleApp, nothing, &scaled)).info.reason(),
            "REQUEST_INVALID");
}

TEST_F(AppsTest, DeletingWhatIsNotThereIsDoneAtOnceWhenAllowed) {
  v1::DeleteAppRequest request;
  request.set_name("apps/web");
  request.set_allow_missing(true);
  v1::Operation operation;
  ASSERT_TRUE(call(apps(), &v1::Apps::Stub::DeleteApp, request, &operation).ok());
  EXPECT_TRUE(control_.deleted->allow_missing);
  EXPECT_TRUE(operation.done());
  EXPECT_EQ(operation.phase(), v1::Operation::SUCCEEDED);
  EXPECT_EQ(operation.app(), "apps/web");
  EXPECT_EQ(operation.name(), "");
}

TEST_F(AppsTest, ARequestOfMoreThanAMebibyteIsRefused) {
  v1::CreateAppRequest request;
  request.set_app_id("web");
  (*request.mutable_app()->mutable_spec()->mutable_env())["A"] = std::string(1024 * 1024, 'x');
  v1::App app;
  EXPECT_EQ(call(apps(), &v1::Apps::Stub::CreateApp, request, &app).error_code(),
            grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_FALSE(control_.created);
}

using WorkersTest = ApiTest;

TEST_F(WorkersTest, ListsThoseOfOneAppOrOfAllInTheOrderOfTheirNumbers) {
  control_.state.apps = {app("a"), app("b")};
  control_.state.workers = {worker("a", 2), worker("a", 10), worker("b", 1)};
  v1::ListWorkersRequest request;
  request.set_parent("apps/-");
  request.set_page_size(2);
  v1::ListWorkersResponse page;
  ASSERT_TRUE(call(workers(), &v1::Workers::Stub::ListWorkers, request, &page).ok());
  ASSERT_EQ(page.workers_size(), 2);
  EXPECT_EQ(page.workers(1).name(), "apps/a/workers/10");
  request.set_page_token(page.next_page_token());
  v1::ListWorkersResponse last;
  ASSERT_TRUE(call(workers(), &v1::Workers::Stub::ListWorkers, request, &last).ok());
  ASSERT_EQ(last.workers_size(), 1);
  EXPECT_EQ(last.workers(0).name(), "apps/b/workers/1");
  v1::ListWorkersRequest one;
  one.set_parent("apps/a");
  v1::ListWorkersResponse of_a;
  ASSERT_TRUE(call(workers(), &v1::Workers::Stub::ListWorkers, one, &of_a).ok());
  EXPECT_EQ(of_a.workers_size(), 2);
  one.set_parent("apps/absent");
  EXPECT_EQ(Details(call(workers(), &v1::Workers::Stub::ListWorkers, one, &of_a)).info.reason(),
            "APP_NOT_FOUND");
  one.set_parent("a");
  EXPECT_EQ(Details(call(workers(), &v1::Workers::Stub::ListWorkers, one, &of_a)).fields(),
            "parent");
}

TEST_F(WorkersTest, GetSaysWhichOneIsNotThere) {
  control_.state.apps = {app("web")};
  control_.state.workers = {worker("web", 3)};
  v1::GetWorkerRequest request;
  request.set_name("apps/web/workers/3");
  v1::Worker found;
  ASSERT_TRUE(call(workers(), &v1::Workers::Stub::GetWorker, request, &found).ok());
  EXPECT_EQ(found.id(), 3);
  request.set_name("apps/web/workers/4");
  const Details absent(call(workers(), &v1::Workers::Stub::GetWorker, request, &found));
  EXPECT_EQ(absent.info.reason(), "WORKER_NOT_FOUND");
  EXPECT_EQ(absent.resource.resource_type(), "appd.v1.Worker");
  EXPECT_EQ(absent.resource.resource_name(), "apps/web/workers/4");
  request.set_name("apps/web/workers/x");
  EXPECT_EQ(Details(call(workers(), &v1::Workers::Stub::GetWorker, request, &found)).fields(),
            "name");
}

model::Death death(const std::string& app, std::int64_t id) {
  model::Death death;
  death.app = app;
  death.id = id;
  death.log_tail = "last words";
  return death;
}

TEST_F(WorkersTest, StacksAndReplacementsAreOfOneWorker) {
  control_.state.workers = {worker("web", 3)};
  v1::DumpStacksRequest stacks;
  stacks.set_name("apps/web/workers/3");
  v1::DumpStacksResponse taken;
  ASSERT_TRUE(call(workers(), &v1::Workers::Stub::DumpStacks, stacks, &taken).ok());
  EXPECT_EQ(taken.text(), "stacks of web");
  EXPECT_EQ(taken.name(), "apps/web/workers/3");
  v1::RecycleWorkerRequest recycle;
  recycle.set_name("apps/web/workers/3");
  recycle.set_request_id(uuid(7));
  recycle.set_reason("it leaks");
  v1::Worker replaced;
  ASSERT_TRUE(call(workers(), &v1::Workers::Stub::RecycleWorker, recycle, &replaced).ok());
  EXPECT_EQ(replaced.id(), 3);
  EXPECT_EQ(control_.recycled->options.request_id, uuid(7));
  EXPECT_EQ(control_.recycled->options.reason, "it leaks");
  recycle.set_name("apps/web");
  EXPECT_EQ(
      Details(call(workers(), &v1::Workers::Stub::RecycleWorker, recycle, &replaced)).fields(),
      "name");
}

model::RequestView in_hand(std::int32_t worker, std::uint32_t number, int started) {
  model::RequestView request;
  request.app = "web";
  request.worker = worker;
  request.number = number;
  request.method = "GET";
  request.path = "/slow?ms=5";
  request.stage = model::RequestStage::Sending;
  request.started = std::chrono::steady_clock::time_point(std::chrono::seconds(started));
  request.age = std::chrono::milliseconds(1500);
  request.cancellable = true;
  return request;
}

TEST_F(WorkersTest, ListsRequestsInHandOldestFirstPageByPage) {
  control_.in_hand.named = {in_hand(1, 7, 30), in_hand(1, 9, 10), in_hand(2, 4, 20)};
  control_.in_hand.unnamed = 5;
  control_.in_hand.websockets = 2;
  v1::ListRequestsRequest request;
  request.set_parent("apps/web");
  request.set_page_size(2);
  std::vector<std::string> names;
  do {
    v1::ListRequestsResponse page;
    ASSERT_TRUE(call(workers(), &v1::Workers::Stub::ListRequests, request, &page).ok());
    EXPECT_EQ(page.unnamed(), 5);
    EXPECT_EQ(page.websockets(), 2);
    for (const v1::RequestInHand& each : page.requests()) names.push_back(each.name());
    EXPECT_EQ(page.requests(0).age().seconds(), 1);
    EXPECT_EQ(page.requests(0).age().nanos(), 500'000'000);
    EXPECT_EQ(page.requests(0).path(), "/slow?ms=5");
    EXPECT_EQ(page.requests(0).stage(), v1::Death::Request::SENDING);
    EXPECT_TRUE(page.requests(0).cancellable());
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  EXPECT_EQ(names, (std::vector<std::string>{"apps/web/workers/1/requests/9",
                                             "apps/web/workers/2/requests/4",
                                             "apps/web/workers/1/requests/7"}));
}

TEST_F(WorkersTest, CancelsTheRequestThatIsNamedAndTellsTheCoreWhoWantsIt) {
  control_.in_hand.named = {in_hand(3, 17, 1)};
  v1::CancelRequestRequest request;
  request.set_name("apps/web/workers/3/requests/17");
  v1::RequestInHand was;
  ASSERT_TRUE(call(workers(), &v1::Workers::Stub::CancelRequest, request, &was).ok());
  EXPECT_EQ(was.name(), request.name());
  EXPECT_EQ(control_.cancelled_request->app, "web");
  EXPECT_EQ(control_.cancelled_request->worker, 3);
  EXPECT_EQ(control_.cancelled_request->number, 17U);
  EXPECT_TRUE(control_.cancelled_request->caller.uid.has_value());
  for (const char* name :
       {"apps/web", "apps/web/workers/3", "apps/web/workers/3/requests/", "apps/web/requests/17",
        "apps/web/workers/3/requests/x", "apps/web/workers/x/requests/1",
        "apps/web/workers/3/requests/017", "apps/web/workers/3/requests/-1"}) {
    request.set_name(name);
    EXPECT_EQ(Details(call(workers(), &v1::Workers::Stub::CancelRequest, request, &was)).fields(),
              "name")
        << name;
  }
}

TEST_F(WorkersTest, ListsDeathsByAppAndNewestFirstPageByPage) {
  control_.dead = {death("a", 2), death("a", 1), death("a-b", 7), death("b", 9)};
  v1::ListDeathsRequest request;
  request.set_parent("apps/-");
  request.set_page_size(3);
  v1::ListDeathsResponse page;
  ASSERT_TRUE(call(workers(), &v1::Workers::Stub::ListDeaths, request, &page).ok());
  ASSERT_EQ(page.deaths_size(), 3);
  EXPECT_EQ(page.deaths(0).name(), "apps/a/deaths/2");
  EXPECT_EQ(page.deaths(2).name(), "apps/a-b/deaths/7");
  EXPECT_EQ(page.deaths(0).log_tail(), "");
  request.set_page_token(page.next_page_token());
  request.set_view(v1::ListDeathsRequest::FULL);
  ASSERT_TRUE(call(workers(), &v1::Workers::Stub::ListDeaths, request, &page).ok());
  ASSERT_EQ(page.deaths_size(), 1);
  EXPECT_EQ(page.deaths(0).name(), "apps/b/deaths/9");
  EXPECT_EQ(page.deaths(0).log_tail(), "last words");
  request.set_parent("a");
  EXPECT_EQ(Details(call(workers(), &v1::Workers::Stub::ListDeaths, request, &page)).fields(),
            "parent");
}

TEST_F(WorkersTest, GetsADeathInFullOrSaysThatItIsNotKept) {
  control_.dead = {death("web", 2)};
  v1::GetDeathRequest request;
  request.set_name("apps/web/deaths/2");
  v1::Death found;
  ASSERT_TRUE(call(workers(), &v1::Workers::Stub::GetDeath, request, &found).ok());
  EXPECT_EQ(found.log_tail(), "last words");
  request.set_name("apps/web/deaths/3");
  const Details absent(call(workers(), &v1::Workers::Stub::GetDeath, request, &found));
  EXPECT_EQ(absent.info.reason(), "DEATH_NOT_FOUND");
  EXPECT_EQ(absent.resource.resource_type(), "appd.v1.Death");
  request.set_name("apps/web/deaths/03");
  EXPECT_EQ(Details(call(workers(), &v1::Workers::Stub::GetDeath, request, &found)).fields(),
            "name");
}

}  // namespace
}  // namespace appd::api
