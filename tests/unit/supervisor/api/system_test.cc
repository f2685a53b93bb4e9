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
  EXPECT_EQ(response.previous_level(), "warn") << "as the core says";
  EXPECT_EQ(control_.log_level->level, spdlog::level::debug);
  for (const char* level : {"", "loud", "off", "INFO"}) {
    request.set_level(level);
    EXPECT_EQ(Details(call(system(), &Stub::SetLogLevel, request, &response)).fields(), "level");
  }
}

TEST_F(SystemTest, UpgradesToAnotherBinary) {
  v1::UpgradeRequest request;
  request.set_binary("/opt/appd");
  request.set_request_id(uuid(7));
  request.set_reason("release 2");
  v1::UpgradeResponse response;
  ASSERT_TRUE(call(system(), &Stub::Upgrade, request, &response).ok());
  EXPECT_EQ(control_.upgrade_to->binary, "/opt/appd");
  EXPECT_EQ(control_.upgrade_to->options.request_id, uuid(7));
  EXPECT_FALSE(control_.upgrade_to->options.fingerprint.empty());
  EXPECT_EQ(control_.upgrade_to->options.reason, "release 2");
  EXPECT_EQ(response.previous_version(), "0.1.0");
  EXPECT_EQ(response.version(), "0.2.0");
  EXPECT_EQ(response.pid(), 42);
  EXPECT_EQ(response.adopted_zygotes(), 3);
  EXPECT_EQ(response.adopted_workers(), 12);
}

TEST_F(SystemTest, ABinaryIsNamedByAnAbsolutePath) {
  v1::UpgradeRequest request;
  request.set_binary("build/bin/appd");
  v1::UpgradeResponse response;
  EXPECT_EQ(Details(call(system(), &Stub::Upgrade, request, &response)).fields(), "binary");
  EXPECT_FALSE(control_.upgrade_to.has_value());
}

TEST_F(SystemTest, AnUpgradeThatIsRefusedSaysWhy) {
  control_.refusal = reconcile::Rejection{
      {ErrorCode::FailedPrecondition, "UPGRADE_REFUSED", "it is no appd", 0}, {}};
  v1::UpgradeResponse response;
  const grpc::Status status = call(system(), &Stub::Upgrade, v1::UpgradeRequest(), &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(Details(status).info.reason(), "UPGRADE_REFUSED");
}

TEST_F(SystemTest, EndsWithOrWithoutTheApps) {
  for (bool keep : {false, true}) {
    v1::ShutdownRequest request;
    request.set_keep_apps(keep);
    v1::ShutdownResponse response;
    ASSERT_TRUE(call(system(), &Stub::Shutdown, request, &response).ok());
    EXPECT_EQ(control_.shut_down->keep_apps, keep);
    EXPECT_EQ(response.apps(), 2);
    EXPECT_EQ(response.workers(), 7);
  }
}

TEST_F(SystemTest, BacksTheStateUp) {
  v1::BackupStateRequest request;
  request.set_path("/backups/a.db");
  v1::BackupStateResponse response;
  ASSERT_TRUE(call(system(), &Stub::BackupState, request, &response).ok());
  EXPECT_EQ(control_.backed_up, "/backups/a.db");
  EXPECT_EQ(response.path(), "/backups/a.db");
  EXPECT_EQ(response.size(), 4096);
  EXPECT_EQ(response.schema_version(), 7);
  EXPECT_EQ(response.apps(), 2);
}

TEST_F(SystemTest, RestoresTheState) {
  v1::RestoreStateRequest request;
  request.set_path("/backups/a.db");
  request.set_validate_only(true);
  request.set_request_id(uuid(8));
  request.set_reason("the host was lost");
  v1::RestoreStateResponse response;
  ASSERT_TRUE(call(system(), &Stub::RestoreState, request, &response).ok());
  EXPECT_EQ(control_.restored->path, "/backups/a.db");
  EXPECT_TRUE(control_.restored->options.validate_only);
  EXPECT_EQ(control_.restored->options.request_id, uuid(8));
  EXPECT_FALSE(control_.restored->options.fingerprint.empty());
  EXPECT_EQ(control_.restored->options.reason, "the host was lost");
  EXPECT_EQ(static_cast<std::size_t>(response.apps_size()), control_.state.apps.size());
}

TEST_F(SystemTest, BackupsAreNamedByAbsolutePaths) {
  for (const std::string& path :
       {std::string(), std::string("a.db"), std::string("/a\0b", 4), std::string(5000, '/')}) {
    v1::BackupStateRequest backup;
    backup.set_path(path);
    v1::BackupStateResponse made;
    EXPECT_EQ(Details(call(system(), &Stub::BackupState, backup, &made)).fields(), "path");
    v1::RestoreStateRequest restore;
    restore.set_path(path);
    v1::RestoreStateResponse restored;
    EXPECT_EQ(Details(call(system(), &Stub::RestoreState, restore, &restored)).fields(), "path");
  }
  EXPECT_FALSE(control_.backed_up || control_.restored);
}

TEST_F(SystemTest, HealthIsServingForEveryServiceAndUnknownForOthers) {
  const auto stub = health::Health::NewStub(channel());
  for (const char* service :
       {"", "appd.v1.Apps", "appd.v1.Workers", "appd.v1.Operations", "appd.v1.Events",
        "appd.v1.Logs", "appd.v1.Stats", "appd.v1.System", "grpc.health.v1.Health"}) {
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
