// System, health and reflection over a real connection.
#include <grpcpp/generic/generic_stub.h>

#include "grpc/health/v1/health.grpc.pb.h"
#include "tests/unit/supervisor/api/api_fixture.h"

namespace appd::api {
namespace {

using SystemTest = ApiTest;
using Stub = v1::System::Stub;
namespace health = ::grpc::health::v1;

TEST_F(SystemTest, SaysWhatItIs) {
  info_.state_dir = "/state";
  info_.runtime_dir = "/run";
  info_.schema_version = 1;
  info_.start_time = model::WallTime(std::chrono::seconds(5));
  v1::ServerInfo info;
  ASSERT_TRUE(call(system(), &Stub::GetServerInfo, v1::GetServerInfoRequest(), &info).ok());
  EXPECT_EQ(info.version(), "1.2.3");
  EXPECT_EQ(info.pid(), 42);
  EXPECT_EQ(info.start_time().seconds(), 5);
  EXPECT_EQ(info.state_dir(), "/state");
  EXPECT_EQ(info.runtime_dir(), "/run");
  EXPECT_EQ(info.listen(0), "unix:" + path());
  EXPECT_EQ(info.revision(), 100);
  EXPECT_EQ(info.schema_version(), 1);
  EXPECT_EQ(info.log_level(), "info");
}

TEST_F(SystemTest, ChangesItsLogLevel) {
  v1::SetLogLevelRequest request;
  request.set_level("debug");
  v1::SetLogLevelResponse response;
  ASSERT_TRUE(call(system(), &Stub::SetLogLevel, request, &response).ok());
  EXPECT_EQ(response.previous_level(), "info");
  EXPECT_EQ(log_->level(), spdlog::level::debug);
  for (const char* level : {"", "loud", "off", "INFO"}) {
    request.set_level(level);
    EXPECT_EQ(Details(call(system(), &Stub::SetLogLevel, request, &response)).fields(), "level");
  }
}

TEST_F(SystemTest, HealthIsServingForEveryServiceAndUnknownForOthers) {
  const auto stub = health::Health::NewStub(channel());
  for (const char* service : {"", "appd.v1.Apps", "appd.v1.Workers", "appd.v1.Operations",
                              "appd.v1.Events", "appd.v1.System"}) {
    health::HealthCheckRequest request;
    request.set_service(service);
    health::HealthCheckResponse response;
    ASSERT_TRUE(call(stub, &health::Health::Stub::Check, request, &response).ok()) << service;
    EXPECT_EQ(response.status(), health::HealthCheckResponse::SERVING);
  }
  health::HealthCheckRequest request;
  request.set_service("nonsense");
  health::HealthCheckResponse response;
  EXPECT_EQ(call(stub, &health::Health::Stub::Check, request, &response).error_code(),
            grpc::StatusCode::NOT_FOUND);
}

TEST_F(SystemTest, HealthCanBeWatched) {
  const auto stub = health::Health::NewStub(channel());
  for (const auto& [service, expected] :
       {std::pair("", health::HealthCheckResponse::SERVING),
        std::pair("nonsense", health::HealthCheckResponse::SERVICE_UNKNOWN)}) {
    grpc::ClientContext context;
    health::HealthCheckRequest request;
    request.set_service(service);
    const auto reader = stub->Watch(&context, request);
    health::HealthCheckResponse response;
    ASSERT_TRUE(reader->Read(&response));
    EXPECT_EQ(response.status(), expected);
    context.TryCancel();
    EXPECT_FALSE(reader->Read(&response));
    EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
  }
}

TEST_F(SystemTest, ReflectionListsTheServices) {
  // ServerReflectionRequest{list_services: ""}, field 7, by hand: Debian ships no header for it.
  const std::string bytes("\x3a\x00", 2);
  grpc::GenericStub stub(channel());
  grpc::CompletionQueue queue;
  grpc::ClientContext context;
  const auto wait = [&] {
    void* tag = nullptr;
    bool ok = false;
    return queue.Next(&tag, &ok) && ok;
  };
  const auto reflection = stub.PrepareCall(
      &context, "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", &queue);
  reflection->StartCall(nullptr);
  ASSERT_TRUE(wait());
  const grpc::Slice slice(bytes);
  reflection->Write(grpc::ByteBuffer(&slice, 1), nullptr);
  ASSERT_TRUE(wait());
  grpc::ByteBuffer answer;
  reflection->Read(&answer, nullptr);
  ASSERT_TRUE(wait());
  grpc::Slice whole;
  ASSERT_TRUE(answer.DumpToSingleSlice(&whole).ok());
  const std::string text(reinterpret_cast<const char*>(whole.begin()), whole.size());
  for (const char* service : {"appd.v1.Apps", "appd.v1.Workers", "appd.v1.Operations",
                              "appd.v1.Events", "appd.v1.System", "grpc.health.v1.Health"}) {
    EXPECT_NE(text.find(service), std::string::npos) << service;
  }
  reflection->WritesDone(nullptr);
  ASSERT_TRUE(wait());
  grpc::Status status;
  reflection->Finish(&status, nullptr);
  ASSERT_TRUE(wait());
  EXPECT_TRUE(status.ok());
}

}  // namespace
}  // namespace appd::api
