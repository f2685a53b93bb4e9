// Operations over a real connection; waiting, and waiting in vain.
#include <future>

#include "tests/unit/supervisor/api/api_fixture.h"

namespace appd::api {
namespace {

using OperationsTest = ApiTest;
using Stub = v1::Operations::Stub;

TEST_F(OperationsTest, GetAnswersOrSaysWhichIsNotThere) {
  control_.book = {operation(1, "web")};
  v1::GetOperationRequest request;
  request.set_name("operations/" + uuid(1));
  v1::Operation found;
  ASSERT_TRUE(call(operations(), &Stub::GetOperation, request, &found).ok());
  EXPECT_EQ(found.app(), "apps/web");
  request.set_name("operations/" + uuid(2));
  const Details absent(call(operations(), &Stub::GetOperation, request, &found));
  EXPECT_EQ(absent.info.reason(), "OPERATION_NOT_FOUND");
  EXPECT_EQ(absent.resource.resource_type(), "appd.v1.Operation");
  request.set_name("operations/7");
  EXPECT_EQ(Details(call(operations(), &Stub::GetOperation, request, &found)).fields(), "name");
}

TEST_F(OperationsTest, ListsNewestFirstInPages) {
  control_.book = {operation(5, "web"), operation(3, "api"), operation(9, "web")};
  v1::ListOperationsRequest request;
  request.set_page_size(2);
  v1::ListOperationsResponse page;
  ASSERT_TRUE(call(operations(), &Stub::ListOperations, request, &page).ok());
  ASSERT_EQ(page.operations_size(), 2);
  EXPECT_EQ(page.operations(0).name(), "operations/" + uuid(5));
  request.set_page_token(page.next_page_token());
  v1::ListOperationsResponse last;
  ASSERT_TRUE(call(operations(), &Stub::ListOperations, request, &last).ok());
  ASSERT_EQ(last.operations_size(), 1);
  EXPECT_EQ(last.operations(0).name(), "operations/" + uuid(9));
  control_.book.erase(control_.book.begin() + 1);  // the token's operation is forgotten
  EXPECT_EQ(Details(call(operations(), &Stub::ListOperations, request, &last)).fields(),
            "page_token");
  v1::ListOperationsRequest of_app;
  of_app.set_app("apps/web");
  v1::ListOperationsResponse of_web;
  ASSERT_TRUE(call(operations(), &Stub::ListOperations, of_app, &of_web).ok());
  EXPECT_EQ(of_web.operations_size(), 2);
}

TEST_F(OperationsTest, WaitAnswersWhenTheCoreDoes) {
  const auto stub = operations();
  v1::WaitOperationRequest request;
  request.set_name("operations/" + uuid(1));
  request.mutable_timeout()->set_seconds(5);
  auto answer = std::async(std::launch::async, [&] {
    v1::Operation operation;
    EXPECT_TRUE(call(stub, &Stub::WaitOperation, request, &operation).ok());
    return operation;
  });
  const FakeControl::Wait wait = control_.take_wait();
  const auto left = wait.deadline - std::chrono::steady_clock::now();
  EXPECT_GT(left, std::chrono::seconds(3));
  EXPECT_LE(left, std::chrono::seconds(5));
  model::Operation done = operation(1, "web");
  done.phase = model::OperationPhase::Succeeded;
  wait.reply(done);
  EXPECT_TRUE(answer.get().done());
}

TEST_F(OperationsTest, WaitHasADefaultAndALimit) {
  const auto stub = operations();
  v1::WaitOperationRequest request;
  request.set_name("operations/" + uuid(1));
  auto answer = std::async(std::launch::async, [&] {
    v1::Operation operation;
    return call(stub, &Stub::WaitOperation, request, &operation).ok();
  });
  const FakeControl::Wait wait = control_.take_wait();
  EXPECT_GT(wait.deadline - std::chrono::steady_clock::now(), std::chrono::seconds(50));
  wait.reply(operation(1, "web"));
  EXPECT_TRUE(answer.get());
  const std::pair<std::int64_t, std::int32_t> refused[] = {
      {3601, 0}, {3600, 1}, {-1, 0}, {0, -1}, {std::numeric_limits<std::int64_t>::max(), 0}};
  for (const auto& [seconds, nanos] : refused) {
    request.mutable_timeout()->set_seconds(seconds);
    request.mutable_timeout()->set_nanos(nanos);
    v1::Operation operation;
    EXPECT_EQ(Details(call(stub, &Stub::WaitOperation, request, &operation)).fields(), "timeout");
  }
}

TEST_F(OperationsTest, AnAnswerToAClientThatHasGoneIsDropped) {
  const auto stub = operations();
  v1::WaitOperationRequest request;
  request.set_name("operations/" + uuid(1));
  grpc::ClientContext context;
  auto answer = std::async(std::launch::async, [&] {
    v1::Operation operation;
    return stub->WaitOperation(&context, request, &operation).error_code();
  });
  const FakeControl::Wait wait = control_.take_wait();
  context.TryCancel();
  EXPECT_EQ(answer.get(), grpc::StatusCode::CANCELLED);
  wait.reply(operation(1, "web"));
  // The server goes on.
  v1::ListOperationsResponse page;
  EXPECT_TRUE(call(operations(), &Stub::ListOperations, v1::ListOperationsRequest(), &page).ok());
}

TEST_F(OperationsTest, AnAnswerAfterTheServersEndIsDropped) {
  const auto stub = operations();
  v1::WaitOperationRequest request;
  request.set_name("operations/" + uuid(1));
  grpc::Status status;
  auto answer = std::async(std::launch::async, [&] {
    v1::Operation operation;
    status = call(stub, &Stub::WaitOperation, request, &operation);
  });
  const FakeControl::Wait wait = control_.take_wait();
  server_->shutdown();
  answer.wait();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(Details(status).info.reason(), "SHUTTING_DOWN");
  EXPECT_EQ(Details(status).retry.retry_delay().seconds(), 1);
  server_.reset();
  wait.reply(operation(1, "web"));
}

TEST_F(OperationsTest, CancelHandsOverWhoAndWhy) {
  control_.book = {operation(1, "web")};
  control_.book.front().phase = model::OperationPhase::Cancelled;
  v1::CancelOperationRequest request;
  request.set_name("operations/" + uuid(1));
  request.set_request_id(uuid(7));
  request.set_reason("the wrong branch");
  v1::Operation answer;
  ASSERT_TRUE(call(operations(), &Stub::CancelOperation, request, &answer).ok());
  EXPECT_EQ(answer.phase(), v1::Operation::CANCELLED);
  ASSERT_TRUE(control_.cancelled);
  EXPECT_EQ(control_.cancelled->id, uuid(1));
  EXPECT_EQ(control_.cancelled->options.request_id, uuid(7));
  EXPECT_EQ(control_.cancelled->options.reason, "the wrong branch");
  EXPECT_EQ(control_.cancelled->options.method, "CancelOperation");
  EXPECT_EQ(control_.cancelled->options.caller.uid, ::getuid());
}

TEST_F(OperationsTest, CancelRefusesWhatItCannotRead) {
  v1::CancelOperationRequest request;
  request.set_name("operations/7");
  v1::Operation answer;
  EXPECT_EQ(Details(call(operations(), &Stub::CancelOperation, request, &answer)).fields(), "name");
  request.set_name("operations/" + uuid(1));
  request.set_request_id("no uuid");
  EXPECT_EQ(Details(call(operations(), &Stub::CancelOperation, request, &answer)).fields(),
            "request_id");
  EXPECT_FALSE(control_.cancelled);
}

TEST_F(OperationsTest, ARefusedCancelSaysOfWhat) {
  control_.refusal = reconcile::Rejection{
      Error{ErrorCode::FailedPrecondition, "NOT_CANCELLABLE", "it takes over"}, {}};
  v1::CancelOperationRequest request;
  request.set_name("operations/" + uuid(1));
  v1::Operation answer;
  const Details refused(call(operations(), &Stub::CancelOperation, request, &answer));
  EXPECT_EQ(refused.info.reason(), "NOT_CANCELLABLE");
  EXPECT_EQ(refused.precondition.violations(0).subject(), "operations/" + uuid(1));
}

}  // namespace
}  // namespace appd::api
