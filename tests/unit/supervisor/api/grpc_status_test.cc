// Every reason of the API as a client gets it, over a real connection.
#include "supervisor/api/grpc_status.h"

#include "appd/v1/errors.pb.h"
#include "tests/unit/supervisor/api/api_fixture.h"

namespace appd::api {
namespace {

class StatusTest : public ApiTest {
 protected:
  // What GetApp answers when the core refuses.
  grpc::Status refuse(ErrorCode code, const std::string& reason,
                      std::vector<model::Violation> violations = {}) {
    control_.refusal = {{code, reason, "the message of " + reason}, std::move(violations)};
    v1::GetAppRequest request;
    request.set_name("apps/web");
    v1::App app;
    return call(apps(), &v1::Apps::Stub::GetApp, request, &app);
  }
};

TEST_F(StatusTest, EveryReasonHasItsCodeAndItsDetails) {
  enum Extra { kNothing, kBadRequest, kResource, kPrecondition, kRetry };
  struct Case {
    ErrorCode code;
    grpc::StatusCode expected;
    Extra extra;
  };
  const std::map<std::string, Case> cases = {
      {"SPEC_INVALID",
       {ErrorCode::InvalidArgument, grpc::StatusCode::INVALID_ARGUMENT, kBadRequest}},
      {"REQUEST_INVALID",
       {ErrorCode::InvalidArgument, grpc::StatusCode::INVALID_ARGUMENT, kBadRequest}},
      {"APP_NOT_FOUND", {ErrorCode::NotFound, grpc::StatusCode::NOT_FOUND, kResource}},
      {"DEATH_NOT_FOUND", {ErrorCode::NotFound, grpc::StatusCode::NOT_FOUND, kResource}},
      {"WORKER_NOT_READY",
       {ErrorCode::FailedPrecondition, grpc::StatusCode::FAILED_PRECONDITION, kPrecondition}},
      {"STACKS_NOT_TAKEN",
       {ErrorCode::DeadlineExceeded, grpc::StatusCode::DEADLINE_EXCEEDED, kNothing}},
      {"UPGRADE_REFUSED",
       {ErrorCode::FailedPrecondition, grpc::StatusCode::FAILED_PRECONDITION, kPrecondition}},
      {"ROLE_TOO_LOW",
       {ErrorCode::PermissionDenied, grpc::StatusCode::PERMISSION_DENIED, kNothing}},
      {"WORKER_NOT_FOUND", {ErrorCode::NotFound, grpc::StatusCode::NOT_FOUND, kResource}},
      {"OPERATION_NOT_FOUND", {ErrorCode::NotFound, grpc::StatusCode::NOT_FOUND, kResource}},
      {"APP_EXISTS", {ErrorCode::AlreadyExists, grpc::StatusCode::ALREADY_EXISTS, kNothing}},
      {"ETAG_MISMATCH", {ErrorCode::Aborted, grpc::StatusCode::ABORTED, kNothing}},
      {"APP_DELETING",
       {ErrorCode::FailedPrecondition, grpc::StatusCode::FAILED_PRECONDITION, kPrecondition}},
      {"APP_STOPPED",
       {ErrorCode::FailedPrecondition, grpc::StatusCode::FAILED_PRECONDITION, kPrecondition}},
      {"BIND_FAILED",
       {ErrorCode::FailedPrecondition, grpc::StatusCode::FAILED_PRECONDITION, kPrecondition}},
      {"REVISION_COMPACTED", {ErrorCode::OutOfRange, grpc::StatusCode::OUT_OF_RANGE, kNothing}},
      {"REQUEST_ID_REUSED",
       {ErrorCode::InvalidArgument, grpc::StatusCode::INVALID_ARGUMENT, kNothing}},
      {"ROLLED_BACK", {ErrorCode::Aborted, grpc::StatusCode::ABORTED, kNothing}},
      {"ROLLOUT_FAILED",
       {ErrorCode::FailedPrecondition, grpc::StatusCode::FAILED_PRECONDITION, kPrecondition}},
      {"SUPERSEDED", {ErrorCode::Aborted, grpc::StatusCode::ABORTED, kNothing}},
      {"STORE_FAILED",
       {ErrorCode::ResourceExhausted, grpc::StatusCode::RESOURCE_EXHAUSTED, kNothing}},
      {"REVISION_NOT_FOUND", {ErrorCode::NotFound, grpc::StatusCode::NOT_FOUND, kResource}},
      {"NOTHING_TO_ROLL_BACK",
       {ErrorCode::FailedPrecondition, grpc::StatusCode::FAILED_PRECONDITION, kPrecondition}},
      {"BACKUP_FAILED",
       {ErrorCode::FailedPrecondition, grpc::StatusCode::FAILED_PRECONDITION, kPrecondition}},
      {"BACKUP_UNUSABLE",
       {ErrorCode::FailedPrecondition, grpc::StatusCode::FAILED_PRECONDITION, kPrecondition}},
      {"SERVICE_NOT_FOUND", {ErrorCode::NotFound, grpc::StatusCode::NOT_FOUND, kResource}},
      {"OPERATION_DONE",
       {ErrorCode::FailedPrecondition, grpc::StatusCode::FAILED_PRECONDITION, kPrecondition}},
      {"NOT_CANCELLABLE",
       {ErrorCode::FailedPrecondition, grpc::StatusCode::FAILED_PRECONDITION, kPrecondition}},
      {"REQUEST_NOT_FOUND", {ErrorCode::NotFound, grpc::StatusCode::NOT_FOUND, kResource}},
      {"REQUEST_NOT_CANCELLABLE",
       {ErrorCode::FailedPrecondition, grpc::StatusCode::FAILED_PRECONDITION, kPrecondition}},
      {"CREDENTIALS_MISSING",
       {ErrorCode::Unauthenticated, grpc::StatusCode::UNAUTHENTICATED, kNothing}},
      {"CLIENT_UNKNOWN",
       {ErrorCode::PermissionDenied, grpc::StatusCode::PERMISSION_DENIED, kNothing}},
      {"TOKEN_UNKNOWN", {ErrorCode::Unauthenticated, grpc::StatusCode::UNAUTHENTICATED, kNothing}},
      {"TOKEN_EXPIRED", {ErrorCode::Unauthenticated, grpc::StatusCode::UNAUTHENTICATED, kNothing}},
      {"APP_NOT_ALLOWED",
       {ErrorCode::PermissionDenied, grpc::StatusCode::PERMISSION_DENIED, kNothing}},
      {"RATE_LIMITED",
       {ErrorCode::ResourceExhausted, grpc::StatusCode::RESOURCE_EXHAUSTED, kRetry}},
      {"TOKEN_EXISTS", {ErrorCode::AlreadyExists, grpc::StatusCode::ALREADY_EXISTS, kNothing}},
      {"TOKEN_NOT_FOUND", {ErrorCode::NotFound, grpc::StatusCode::NOT_FOUND, kResource}},
      {"TOO_MANY_TOKENS",
       {ErrorCode::ResourceExhausted, grpc::StatusCode::RESOURCE_EXHAUSTED, kNothing}},
      {"MESSAGE_UNREADABLE",
       {ErrorCode::InvalidArgument, grpc::StatusCode::INVALID_ARGUMENT, kNothing}},
      {"MESSAGE_TOO_LONG",
       {ErrorCode::ResourceExhausted, grpc::StatusCode::RESOURCE_EXHAUSTED, kNothing}},
      {"SHUTTING_DOWN", {ErrorCode::Unavailable, grpc::StatusCode::UNAVAILABLE, kRetry}},
  };
  const auto* reasons = v1::ErrorReason_descriptor();
  for (int i = 1; i < reasons->value_count(); ++i) {
    const std::string& reason = reasons->value(i)->name();
    if (reason == "CANCELLED") continue;       // in Operation.error only
    if (reason == "METHOD_UNKNOWN") continue;  // below
    ASSERT_TRUE(cases.contains(reason)) << reason;
    const Case& expected = cases.at(reason);
    std::vector<model::Violation> violations;
    if (expected.extra == kBadRequest) violations = {{"spec.a", "rule"}, {"spec.b", "rule"}};
    const grpc::Status status = refuse(expected.code, reason, violations);
    EXPECT_EQ(status.error_code(), expected.expected) << reason;
    EXPECT_EQ(status.error_message(), "the message of " + reason);
    const Details details(status);
    EXPECT_EQ(details.whole.code(), status.error_code());
    EXPECT_EQ(details.whole.message(), status.error_message());
    EXPECT_EQ(details.info.reason(), reason);
    EXPECT_EQ(details.info.domain(), "appd");
    EXPECT_EQ(details.info.metadata().at("resource"), "apps/web");
    EXPECT_EQ(details.fields(), expected.extra == kBadRequest ? "spec.a spec.b" : "") << reason;
    EXPECT_EQ(details.resource.resource_name(), expected.extra == kResource ? "apps/web" : "");
    EXPECT_EQ(details.precondition.violations_size(), expected.extra == kPrecondition ? 1 : 0);
    EXPECT_EQ(details.retry.retry_delay().seconds(), expected.extra == kRetry ? 1 : 0);
    EXPECT_EQ(details.whole.details_size(), expected.extra == kNothing ? 1 : 2);
  }
}

TEST_F(StatusTest, OfAMethodThatThereIsNotTellsWhatThereIs) {
  const Services services{v1::App::descriptor()->file()->service(0)};
  const Details method(method_unknown("/appd.v1.Apps/GetApps", services));
  EXPECT_EQ(method.whole.code(), grpc::StatusCode::UNIMPLEMENTED);
  EXPECT_EQ(method.info.reason(), "METHOD_UNKNOWN");
  EXPECT_EQ(method.info.metadata().at("method"), "appd.v1.Apps/GetApps");
  EXPECT_EQ(method.info.metadata().at("methods").rfind("CreateApp, GetApp, ", 0), 0U);
  for (const char* path : {"/appd.v2.Apps/GetApp", "", "/", "//"}) {
    const Details service(method_unknown(path, services));
    EXPECT_EQ(service.info.metadata().at("services"), "appd.v1.Apps") << path;
  }
}

TEST_F(StatusTest, WhatTheCoreSaysForProgramsIsInTheMetadata) {
  const reconcile::Rejection rejection{
      Error{ErrorCode::FailedPrecondition, "BIND_FAILED", "no"}, {}, {{"bind", "127.0.0.1:80"}}};
  const Details details(to_status(rejection, {{"resource", "apps/web"}}));
  EXPECT_EQ(details.info.metadata().at("bind"), "127.0.0.1:80");
  EXPECT_EQ(details.info.metadata().at("resource"), "apps/web");
}

TEST_F(StatusTest, InternalErrorsAreInternal) {
  EXPECT_EQ(refuse(ErrorCode::Internal, "STORE_FAILED").error_code(), grpc::StatusCode::INTERNAL);
  EXPECT_EQ(refuse(ErrorCode::DeadlineExceeded, "STORE_FAILED").error_code(),
            grpc::StatusCode::DEADLINE_EXCEEDED);
}

TEST_F(StatusTest, HowEverMuchIsWrongTheClientCanReadIt) {
  std::vector<model::Violation> violations;
  for (int i = 0; i < 1000; ++i) violations.push_back({"spec.env", std::string(500, 'x')});
  const grpc::Status status = refuse(ErrorCode::InvalidArgument, "SPEC_INVALID", violations);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  const Details details(status);
  const int shown = details.bad_request.field_violations_size();
  EXPECT_GE(shown, 3);
  EXPECT_EQ(details.info.metadata().at("omitted_violations"), std::to_string(1000 - shown));
}

TEST_F(StatusTest, LongMessagesAreCutBetweenCharacters) {
  std::string message;
  for (int i = 0; i < 5000; ++i) message += "é";
  const grpc::Status status =
      to_status({{ErrorCode::Internal, "STORE_FAILED", message}, {}}, {{"resource", message}});
  EXPECT_LT(status.error_message().size(), 700u);
  EXPECT_EQ(Details(status).whole.message(), status.error_message());  // valid UTF-8 only
  control_.refusal = {{ErrorCode::Internal, "STORE_FAILED", message}, {}};
  v1::GetAppRequest request;
  request.set_name("apps/web");
  v1::App app;
  EXPECT_EQ(call(apps(), &v1::Apps::Stub::GetApp, request, &app).error_code(),
            grpc::StatusCode::INTERNAL);
}

}  // namespace
}  // namespace appd::api
