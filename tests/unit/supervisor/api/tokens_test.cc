// The service of tokens: what it makes, tells once, and refuses; and calls that end with a token.
#include "appd/v1/stats.grpc.pb.h"
#include "appd/v1/tokens.grpc.pb.h"
#include "supervisor/api/secret.h"
#include "tests/unit/supervisor/api/api_fixture.h"

namespace appd::api {
namespace {

class TokensTest : public ApiTest {
 protected:
  std::unique_ptr<v1::Tokens::Stub> tokens() { return v1::Tokens::NewStub(channel()); }
  static v1::CreateTokenRequest request() {
    v1::CreateTokenRequest request;
    request.set_token_id("ci");
    request.mutable_token()->set_role(v1::Token::DEPLOYER);
    request.mutable_token()->add_apps("apps/web");
    request.mutable_ttl()->set_seconds(3600);
    return request;
  }
  grpc::Status create(const v1::CreateTokenRequest& asked) {
    return call(tokens(), &v1::Tokens::Stub::CreateToken, asked, &created);
  }
  v1::CreateTokenResponse created;
};

TEST_F(TokensTest, TheSecretIsToldAndItsHashIsKept) {
  ASSERT_TRUE(create(request()).ok());
  EXPECT_EQ(created.token().name(), "tokens/ci");
  EXPECT_EQ(created.token().apps(0), "apps/web");
  EXPECT_GT(created.token().expire_time().seconds(), created.token().create_time().seconds());
  const model::Token kept = control_.tokens()->front();
  EXPECT_EQ(kept.hash, hash_secret(created.secret()));
  EXPECT_EQ(kept.rights, (model::Rights{model::Role::Deployer, {"web"}}));
  EXPECT_EQ(kept.creator.find("uid "), 0U);
  v1::ListTokensResponse listed;
  ASSERT_TRUE(call(tokens(), &v1::Tokens::Stub::ListTokens, {}, &listed).ok());
  ASSERT_EQ(listed.tokens_size(), 1);
  EXPECT_EQ(listed.ShortDebugString().find(created.secret()), std::string::npos);
  EXPECT_EQ(listed.ShortDebugString().find(kept.hash), std::string::npos);
}

TEST_F(TokensTest, WhatIsWrongIsNamed) {
  const auto field = [this](auto edit) {
    v1::CreateTokenRequest bad = request();
    edit(bad);
    return Details(create(bad)).fields();
  };
  EXPECT_EQ(field([](auto& r) { r.set_token_id("C I"); }), "token_id");
  EXPECT_EQ(field([](auto& r) { r.mutable_token()->clear_role(); }), "token.role");
  EXPECT_EQ(field([](auto& r) { r.mutable_token()->set_role(v1::Token::ADMIN); }), "token.apps");
  EXPECT_EQ(field([](auto& r) { r.mutable_token()->add_apps("web"); }), "token.apps");
  EXPECT_EQ(field([](auto& r) { r.mutable_ttl()->set_seconds(0); }), "ttl");
  EXPECT_EQ(field([](auto& r) { r.mutable_token()->mutable_expire_time()->set_seconds(1); }),
            "ttl");
  EXPECT_EQ(field([](auto& r) {
              r.clear_ttl();
              r.mutable_token()->mutable_expire_time()->set_seconds(1);
            }),
            "token.expire_time");
  EXPECT_EQ(field([](auto& r) { r.set_request_id("x"); }), "request_id");
  EXPECT_TRUE(control_.tokens()->empty());
}

TEST_F(TokensTest, AStreamEndsWithItsToken) {
  ASSERT_TRUE(create(request()).ok());
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
  context.AddMetadata("authorization", "Bearer " + created.secret());
  const auto reader = events()->Watch(&context, {});
  v1::WatchResponse event;
  ASSERT_TRUE(reader->Read(&event));
  ASSERT_TRUE(event.has_synced());
  v1::DeleteTokenRequest remove;
  remove.set_name("tokens/ci");
  v1::DeleteTokenResponse removed;
  ASSERT_TRUE(call(tokens(), &v1::Tokens::Stub::DeleteToken, remove, &removed).ok());
  EXPECT_FALSE(reader->Read(&event));
  const grpc::Status status = reader->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_EQ(Details(status).info.reason(), "TOKEN_UNKNOWN");
}

TEST_F(TokensTest, AStreamEndsWhenItsTokenExpires) {
  v1::CreateTokenRequest brief = request();
  brief.mutable_ttl()->set_seconds(1);
  ASSERT_TRUE(create(brief).ok());
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
  context.AddMetadata("authorization", "Bearer " + created.secret());
  const auto reader = events()->Watch(&context, {});
  v1::WatchResponse event;
  while (reader->Read(&event)) {
  }
  EXPECT_EQ(Details(reader->Finish()).info.reason(), "TOKEN_EXPIRED");
}

TEST_F(TokensTest, OfSomeAppsShowsOnlyThose) {
  control_.state.apps = {app("shop"), app("web")};
  control_.state.workers = {worker("shop", 1), worker("web", 1)};
  control_.book = {operation(2, "web"), operation(1, "shop")};
  control_.in_hand.named.resize(2);
  control_.in_hand.named[0].app = "shop";
  control_.in_hand.named[1].app = "web";
  ASSERT_TRUE(create(request()).ok());
  const auto as_token = [this](grpc::ClientContext& context) -> grpc::ClientContext* {
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
    context.AddMetadata("authorization", "Bearer " + created.secret());
    return &context;
  };
  grpc::ClientContext list_context;
  v1::ListAppsResponse listed;
  ASSERT_TRUE(apps()->ListApps(as_token(list_context), {}, &listed).ok());
  ASSERT_EQ(listed.apps_size(), 1);
  EXPECT_EQ(listed.apps(0).name(), "apps/web");
  grpc::ClientContext operations_context;
  v1::ListOperationsResponse changes;
  ASSERT_TRUE(operations()->ListOperations(as_token(operations_context), {}, &changes).ok());
  ASSERT_EQ(changes.operations_size(), 1);
  EXPECT_EQ(changes.operations(0).app(), "apps/web");
  grpc::ClientContext requests_context;
  v1::ListRequestsRequest all_requests;
  all_requests.set_parent("apps/-");
  v1::ListRequestsResponse requests;
  ASSERT_TRUE(workers()->ListRequests(as_token(requests_context), all_requests, &requests).ok());
  ASSERT_EQ(requests.requests_size(), 1);
  EXPECT_TRUE(requests.requests(0).name().starts_with("apps/web/"));
  for (const auto& [number, code] :
       {std::pair(1, grpc::StatusCode::PERMISSION_DENIED), std::pair(2, grpc::StatusCode::OK)}) {
    grpc::ClientContext context;
    v1::GetOperationRequest get;
    get.set_name("operations/" + uuid(number));
    v1::Operation operation;
    EXPECT_EQ(operations()->GetOperation(as_token(context), get, &operation).error_code(), code);
    grpc::ClientContext cancel_context;
    v1::CancelOperationRequest cancel;
    cancel.set_name(get.name());
    control_.cancelled.reset();
    EXPECT_EQ(
        operations()->CancelOperation(as_token(cancel_context), cancel, &operation).error_code(),
        code);
    EXPECT_EQ(control_.cancelled.has_value(), code == grpc::StatusCode::OK);
  }
  model::Measurement figures;
  figures.apps.resize(2);
  figures.apps[0].id = "shop";
  figures.apps[1].id = "web";
  control_.set_measurement(figures);
  grpc::ClientContext stats_context;
  const auto stats = v1::Stats::NewStub(channel())->WatchStats(as_token(stats_context), {});
  v1::WatchStatsResponse measured;
  ASSERT_TRUE(stats->Read(&measured));
  ASSERT_EQ(measured.apps_size(), 1);
  EXPECT_EQ(measured.apps(0).name(), "apps/web");
  stats_context.TryCancel();
  stats->Finish();
  grpc::ClientContext watch_context;
  const auto reader = events()->Watch(as_token(watch_context), {});
  v1::WatchResponse event;
  std::vector<std::string> seen;
  while (reader->Read(&event) && !event.has_synced()) {
    seen.push_back(event.has_app() ? event.app().name() : event.worker().name());
  }
  EXPECT_EQ(seen, (std::vector<std::string>{"apps/web", "apps/web/workers/1"}));
  for (const char* id : {"shop", "web"}) {
    model::Event change;
    change.app = id;
    change.what = app(id);
    control_.hub->publish(change);
  }
  ASSERT_TRUE(reader->Read(&event));
  EXPECT_EQ(event.app().name(), "apps/web");
  watch_context.TryCancel();
  reader->Finish();
}

}  // namespace
}  // namespace appd::api
