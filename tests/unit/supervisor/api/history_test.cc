// Who changes what and why, the history that tells it, and the way back.
#include <pwd.h>

#include "tests/unit/supervisor/api/api_fixture.h"

namespace appd::api {
namespace {

class HistoryTest : public ApiTest {
 protected:
  static model::Revision revision(std::int64_t number) {
    model::Revision out;
    out.app = "web";
    out.number = number;
    out.method = "UpdateApp";
    out.outcome = model::OperationPhase::Succeeded;
    return out;
  }
  v1::ListRevisionsResponse list(const v1::ListRevisionsRequest& request) {
    v1::ListRevisionsResponse page;
    const grpc::Status status = call(apps(), &v1::Apps::Stub::ListRevisions, request, &page);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return page;
  }
  static v1::ListRevisionsRequest of_web() {
    v1::ListRevisionsRequest request;
    request.set_parent("apps/web");
    return request;
  }
};

TEST_F(HistoryTest, EveryChangeBringsItsMethodAndItsReason) {
  control_.state.apps = {app("web")};
  control_.book = {operation(7, "web")};
  v1::App changed;
  v1::Operation begun;
  v1::UpdateAppRequest update;
  update.mutable_app()->set_name("apps/web");
  update.set_reason("a");
  ASSERT_TRUE(call(apps(), &v1::Apps::Stub::UpdateApp, update, &changed).ok());
  EXPECT_EQ(control_.updated->options.method + control_.updated->options.reason, "UpdateAppa");
  v1::ScaleAppRequest scale;
  scale.set_name("apps/web");
  scale.set_workers(2);
  scale.set_reason("b");
  ASSERT_TRUE(call(apps(), &v1::Apps::Stub::ScaleApp, scale, &begun).ok());
  EXPECT_EQ(control_.updated->options.method + control_.updated->options.reason, "ScaleAppb");
  v1::ReloadAppRequest reload;
  reload.set_name("apps/web");
  reload.set_reason("c");
  ASSERT_TRUE(call(apps(), &v1::Apps::Stub::ReloadApp, reload, &begun).ok());
  EXPECT_EQ(control_.reloaded->options.method + control_.reloaded->options.reason, "ReloadAppc");
  v1::DeleteAppRequest remove;
  remove.set_name("apps/web");
  remove.set_reason("d");
  ASSERT_TRUE(call(apps(), &v1::Apps::Stub::DeleteApp, remove, &begun).ok());
  EXPECT_EQ(control_.deleted->options.method + control_.deleted->options.reason, "DeleteAppd");
  v1::RollbackAppRequest rollback;
  rollback.set_name("apps/web");
  rollback.set_reason("e");
  ASSERT_TRUE(call(apps(), &v1::Apps::Stub::RollbackApp, rollback, &begun).ok());
  EXPECT_EQ(control_.rolled_back->options.method + control_.rolled_back->options.reason,
            "RollbackAppe");
}

TEST_F(HistoryTest, AReasonIsOneLineOfBoundedLength) {
  v1::Operation begun;
  v1::ReloadAppRequest request;
  request.set_name("apps/web");
  for (const std::string& reason : {std::string("two\nlines"), std::string(1001, 'x')}) {
    request.set_reason(reason);
    const grpc::Status status = call(apps(), &v1::Apps::Stub::ReloadApp, request, &begun);
    EXPECT_EQ(Details(status).info.reason(), "REQUEST_INVALID");
    EXPECT_EQ(Details(status).fields(), "reason");
  }
  EXPECT_FALSE(control_.reloaded);
}

TEST_F(HistoryTest, TheCallerIsWhoTheKernelSaysAndTheClientWhatItSaysOfItself) {
  control_.book = {operation(7, "web")};
  start();
  grpc::ChannelArguments arguments;
  arguments.SetUserAgentPrefix("deployer/7");
  const auto stub = v1::Apps::NewStub(
      grpc::CreateCustomChannel("unix:" + path(), grpc::InsecureChannelCredentials(), arguments));
  v1::ReloadAppRequest request;
  request.set_name("apps/web");
  v1::Operation begun;
  ASSERT_TRUE(call(stub, &v1::Apps::Stub::ReloadApp, request, &begun).ok());
  const model::Caller& caller = control_.reloaded->options.caller;
  EXPECT_EQ(caller.uid, ::getuid());
  EXPECT_EQ(caller.pid, ::getpid());
  const passwd* user = ::getpwuid(::getuid());
  EXPECT_EQ(caller.user, user == nullptr ? "" : user->pw_name);
  EXPECT_TRUE(caller.client.starts_with("deployer/7 ")) << caller.client;
}

TEST_F(HistoryTest, RollbackHandsTheRevisionToTheCore) {
  control_.book = {operation(7, "web")};
  v1::RollbackAppRequest request;
  request.set_name("apps/web");
  request.set_revision(3);
  request.set_etag("W/\"5\"");
  request.set_request_id(uuid(1));
  v1::Operation begun;
  ASSERT_TRUE(call(apps(), &v1::Apps::Stub::RollbackApp, request, &begun).ok());
  EXPECT_EQ(begun.name(), "operations/" + uuid(7));
  EXPECT_EQ(control_.rolled_back->id, "web");
  EXPECT_EQ(control_.rolled_back->revision, 3);
  EXPECT_EQ(control_.rolled_back->options.etag, "W/\"5\"");
  EXPECT_EQ(control_.rolled_back->options.request_id, uuid(1));
  EXPECT_EQ(control_.rolled_back->options.fingerprint.size(), 32U);
}

TEST_F(HistoryTest, ARollbackThatCannotBeSaysWhy) {
  v1::RollbackAppRequest request;
  v1::Operation begun;
  const auto refused = [&] {
    return Details(call(apps(), &v1::Apps::Stub::RollbackApp, request, &begun));
  };
  EXPECT_EQ(refused().fields(), "name");
  request.set_name("apps/web");
  request.set_revision(-1);
  EXPECT_EQ(refused().fields(), "revision");
  EXPECT_FALSE(control_.rolled_back);
  request.set_revision(9);
  control_.refusal = {Error{ErrorCode::NotFound, "REVISION_NOT_FOUND", "no revision 9"}, {}};
  const Details absent = refused();
  EXPECT_EQ(absent.info.reason(), "REVISION_NOT_FOUND");
  EXPECT_EQ(absent.resource.resource_type(), "appd.v1.Revision");
  EXPECT_EQ(absent.resource.resource_name(), "apps/web/revisions/9");
  request.set_revision(0);
  control_.refusal = {Error{ErrorCode::FailedPrecondition, "NOTHING_TO_ROLL_BACK", "nothing"}, {}};
  const Details nothing = refused();
  EXPECT_EQ(nothing.info.reason(), "NOTHING_TO_ROLL_BACK");
  EXPECT_EQ(nothing.precondition.violations(0).subject(), "apps/web");
}

TEST_F(HistoryTest, ARevisionIsToldInFull) {
  model::Revision one = revision(3);
  one.generation = 4;
  one.rollout = 5;
  one.spec.workers = 17;
  one.time = model::WallTime(std::chrono::seconds(6));
  one.caller = {0, 42, "root", "appctl/1", "token ci", "10.0.0.7:5"};
  one.reason = "release 9";
  one.operation = uuid(1);
  one.outcome = model::OperationPhase::RolledBack;
  one.error_message = "no module";
  one.cause = model::FailureCause::ImportFailed;
  one.end_time = model::WallTime(std::chrono::seconds(7));
  one.restores = 2;
  control_.history = {one};
  const v1::ListRevisionsResponse page = list(of_web());
  ASSERT_EQ(page.revisions_size(), 1);
  const v1::Revision& told = page.revisions(0);
  EXPECT_EQ(told.name(), "apps/web/revisions/3");
  EXPECT_EQ(told.number(), 3);
  EXPECT_EQ(told.generation(), 4);
  EXPECT_EQ(told.rollout(), 5);
  EXPECT_EQ(told.spec().workers(), 17);
  EXPECT_EQ(told.create_time().seconds(), 6);
  EXPECT_TRUE(told.caller().has_uid());
  EXPECT_EQ(told.caller().uid(), 0);
  EXPECT_EQ(told.caller().identity(), "token ci");
  EXPECT_EQ(told.caller().address(), "10.0.0.7:5");
  EXPECT_EQ(told.caller().pid(), 42);
  EXPECT_EQ(told.caller().user(), "root");
  EXPECT_EQ(told.caller().client(), "appctl/1");
  EXPECT_EQ(told.method(), "UpdateApp");
  EXPECT_EQ(told.reason(), "release 9");
  EXPECT_EQ(told.operation(), "operations/" + uuid(1));
  EXPECT_EQ(told.outcome(), v1::Operation::ROLLED_BACK);
  EXPECT_EQ(told.outcome_message(), "no module");
  EXPECT_EQ(told.cause(), v1::Failure::IMPORT_FAILED);
  EXPECT_EQ(told.end_time().seconds(), 7);
  EXPECT_EQ(told.restores(), 2);
  EXPECT_FALSE(told.good());
}

TEST_F(HistoryTest, WhatAppdTookBackHasNoCallerAndNoOperation) {
  model::Revision taken_back = revision(2);
  taken_back.method.clear();
  control_.history = {taken_back};
  const v1::Revision told = list(of_web()).revisions(0);
  EXPECT_FALSE(told.has_caller());
  EXPECT_EQ(told.operation(), "");
  EXPECT_FALSE(told.good());
}

TEST_F(HistoryTest, ValuesOfVariablesAreNotTold) {
  for (const char* value : {"secret-a", "secret-b", "secret-a"}) {
    model::Revision next = revision(static_cast<std::int64_t>(control_.history.size()) + 1);
    next.spec.env = {{"TOKEN", value}, {"LANG", "C"}};
    control_.history.insert(control_.history.begin(), next);
  }
  const v1::ListRevisionsResponse page = list(of_web());
  EXPECT_EQ(page.SerializeAsString().find("secret"), std::string::npos);
  const auto since = [&](int index) { return page.revisions(index).env_since().at("TOKEN"); };
  EXPECT_EQ(since(2), 1);
  EXPECT_EQ(since(1), 2);
  EXPECT_EQ(since(0), 1) << "it is again what it was";
  EXPECT_EQ(page.revisions(0).env_since().at("LANG"), 1);
  EXPECT_EQ(page.revisions(0).spec().env().at("LANG"), "<redacted>");
}

TEST_F(HistoryTest, ListsInPagesFromTheNewest) {
  for (std::int64_t i = 12; i >= 8; --i) control_.history.push_back(revision(i));
  v1::ListRevisionsRequest request = of_web();
  request.set_page_size(2);
  std::vector<std::int64_t> seen;
  do {
    const v1::ListRevisionsResponse page = list(request);
    EXPECT_LE(page.revisions_size(), 2);
    for (const v1::Revision& each : page.revisions()) seen.push_back(each.number());
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  EXPECT_EQ(seen, (std::vector<std::int64_t>{12, 11, 10, 9, 8}));
}

TEST_F(HistoryTest, APageEndsBeforeItIsTooLargeForAClient) {
  for (std::int64_t i = 8; i >= 1; --i) {
    model::Revision large = revision(i);
    large.spec.env[std::string(400'000, 'A')] = "1";
    control_.history.push_back(large);
  }
  const v1::ListRevisionsResponse page = list(of_web());
  EXPECT_EQ(page.revisions_size(), 2);
  EXPECT_NE(page.next_page_token(), "");
}

TEST_F(HistoryTest, BadPagesAndNamesAreRefused) {
  v1::ListRevisionsResponse page;
  const auto fields = [&](const v1::ListRevisionsRequest& request) {
    return Details(call(apps(), &v1::Apps::Stub::ListRevisions, request, &page)).fields();
  };
  v1::ListRevisionsRequest request;
  EXPECT_EQ(fields(request), "parent");
  request = of_web();
  request.set_page_size(-1);
  EXPECT_EQ(fields(request), "page_size");
  request = of_web();
  request.set_page_token("726162");  // "rab"
  EXPECT_EQ(fields(request), "page_token");
}

}  // namespace
}  // namespace appd::api
