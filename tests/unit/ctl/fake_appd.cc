// The server around the scripts.
#include "fake_appd.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace appd::ctl {

grpc::Status refusal(grpc::StatusCode code, const std::string& reason, const std::string& message,
                     const std::vector<std::pair<std::string, std::string>>& violations) {
  google::rpc::Status status;
  status.set_code(code);
  status.set_message(message);
  google::rpc::ErrorInfo info;
  info.set_reason(reason);
  info.set_domain("appd");
  status.add_details()->PackFrom(info);
  if (!violations.empty()) {
    google::rpc::BadRequest bad;
    for (const auto& [field, description] : violations) {
      auto& violation = *bad.add_field_violations();
      violation.set_field(field);
      violation.set_description(description);
    }
    status.add_details()->PackFrom(bad);
  }
  return {code, message, status.SerializeAsString()};
}

FakeAppd::FakeAppd() {
  std::string pattern = (std::filesystem::temp_directory_path() / "fake-appd-XXXXXX").string();
  directory_ = ::mkdtemp(pattern.data());
  path_ = directory_ + "/appd.sock";
}

FakeAppd::~FakeAppd() {
  stop();
  std::filesystem::remove_all(directory_);
}

void FakeAppd::start() {
  grpc::ServerBuilder builder;
  builder.AddListeningPort(address(), grpc::InsecureServerCredentials());
  builder.RegisterService(static_cast<v1::Apps::Service*>(this));
  builder.RegisterService(static_cast<v1::Workers::Service*>(this));
  builder.RegisterService(static_cast<v1::Operations::Service*>(this));
  builder.RegisterService(static_cast<v1::System::Service*>(this));
  builder.RegisterService(static_cast<v1::Events::Service*>(this));
  builder.RegisterService(static_cast<v1::Logs::Service*>(this));
  server_ = builder.BuildAndStart();
  ASSERT_NE(server_, nullptr);
}

void FakeAppd::stop() {
  if (server_ == nullptr) return;
  server_->Shutdown(std::chrono::system_clock::now());
  server_->Wait();
  server_.reset();
}

grpc::Status FakeAppd::ListRevisions(Context* context, const v1::ListRevisionsRequest* request,
                                     v1::ListRevisionsResponse* response) {
  {
    const std::lock_guard lock(mutex_);
    const auto agent = context->client_metadata().find("user-agent");
    if (agent != context->client_metadata().end()) {
      user_agent_ = std::string(agent->second.data(), agent->second.size());
    }
  }
  return answer(revisions, request, response);
}

grpc::Status FakeAppd::Watch(Context*, const v1::WatchRequest* request,
                             grpc::ServerWriter<v1::WatchResponse>* writer) {
  {
    const std::lock_guard lock(mutex_);
    requests_.push_back(std::make_unique<v1::WatchRequest>(*request));
  }
  arrived_.notify_all();
  if (!watch) return {grpc::StatusCode::UNIMPLEMENTED, "not scripted"};
  return watch(*request, *writer);
}

grpc::Status FakeAppd::ReadLogs(Context*, const v1::ReadLogsRequest* request,
                                grpc::ServerWriter<v1::LogEntry>* writer) {
  {
    const std::lock_guard lock(mutex_);
    requests_.push_back(std::make_unique<v1::ReadLogsRequest>(*request));
  }
  arrived_.notify_all();
  if (!logs) return {grpc::StatusCode::UNIMPLEMENTED, "not scripted"};
  return logs(*request, *writer);
}

}  // namespace appd::ctl
