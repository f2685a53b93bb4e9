// A server on a socket of its own, a fake core behind it, and a real client before it.
#pragma once

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <spdlog/sinks/null_sink.h>
#include <unistd.h>

#include <filesystem>

#include "appd/v1/apps.grpc.pb.h"
#include "appd/v1/events.grpc.pb.h"
#include "appd/v1/operations.grpc.pb.h"
#include "appd/v1/system.grpc.pb.h"
#include "appd/v1/workers.grpc.pb.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "supervisor/api/server.h"
#include "tests/unit/supervisor/api/fake_control.h"

namespace appd::api {

namespace v1 = ::appd::v1;

// The details of a status, unpacked.
struct Details {
  explicit Details(const grpc::Status& status) {
    whole.ParseFromString(status.error_details());
    for (const auto& any : whole.details()) {
      any.UnpackTo(&info) || any.UnpackTo(&bad_request) || any.UnpackTo(&resource) ||
          any.UnpackTo(&retry) || any.UnpackTo(&precondition);
    }
  }
  // The fields of BadRequest, with blanks between.
  std::string fields() const {
    std::string out;
    for (const auto& violation : bad_request.field_violations()) {
      out += (out.empty() ? "" : " ") + violation.field();
    }
    return out;
  }
  google::rpc::Status whole;
  google::rpc::ErrorInfo info;
  google::rpc::BadRequest bad_request;
  google::rpc::ResourceInfo resource;
  google::rpc::RetryInfo retry;
  google::rpc::PreconditionFailure precondition;
};

class ApiTest : public testing::Test {
 protected:
  ApiTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "appd-api-XXXXXX").string();
    APPD_CHECK(::mkdtemp(pattern.data()) != nullptr);
    directory_ = pattern;
    info_.version = "1.2.3";
    info_.pid = 42;
    info_.listen = {"unix:" + path()};
  }
  ~ApiTest() override {
    channel_.reset();
    if (server_) server_->shutdown();
    server_.reset();
    std::filesystem::remove_all(directory_);
  }

  std::string path() const { return directory_ + "/appd.sock"; }

  void start(std::chrono::milliseconds linger = std::chrono::seconds(60)) {
    auto server = Server::start(control_, info_, log_, linger);
    APPD_CHECK(server.has_value());
    server_ = *std::move(server);
  }
  // Of a server that must not start.
  std::string refused() {
    auto server = Server::start(control_, info_, log_);
    return server ? "started" : server.error().message;
  }

  std::shared_ptr<grpc::Channel> channel() {
    if (!server_) start();
    if (!channel_) {
      // Every test has a socket and therefore a connection of its own.
      channel_ = grpc::CreateChannel("unix:" + path(), grpc::InsecureChannelCredentials());
    }
    return channel_;
  }
  std::unique_ptr<v1::Apps::Stub> apps() { return v1::Apps::NewStub(channel()); }
  std::unique_ptr<v1::Workers::Stub> workers() { return v1::Workers::NewStub(channel()); }
  std::unique_ptr<v1::Operations::Stub> operations() { return v1::Operations::NewStub(channel()); }
  std::unique_ptr<v1::Events::Stub> events() { return v1::Events::NewStub(channel()); }
  std::unique_ptr<v1::System::Stub> system() { return v1::System::NewStub(channel()); }

  // One unary call: call(apps(), &v1::Apps::Stub::GetApp, request, &response).
  template <typename Stub, typename Request, typename Response>
  grpc::Status call(const std::unique_ptr<Stub>& stub,
                    grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                    const Request& request, Response* response) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
    return (stub.get()->*method)(&context, request, response);
  }

  static model::AppView app(const std::string& id) {
    model::AppView view;
    view.record.id = id;
    view.record.spec.directory = "/srv/" + id;
    return view;
  }
  static model::WorkerView worker(const std::string& app_id, std::int32_t id) {
    model::WorkerView view;
    view.app = app_id;
    view.id = id;
    return view;
  }
  static std::string uuid(int number) {
    char text[40];
    std::snprintf(text, sizeof(text), "00000000-0000-4000-8000-%012d", number);
    return text;
  }
  static model::Operation operation(int number, const std::string& app_id) {
    model::Operation out;
    out.id = uuid(number);
    out.app = app_id;
    return out;
  }

  std::string directory_;
  model::ServerInfo info_;
  std::shared_ptr<spdlog::logger> log_ =
      std::make_shared<spdlog::logger>("test", std::make_shared<spdlog::sinks::null_sink_mt>());
  FakeControl control_;
  std::unique_ptr<Server> server_;
  std::shared_ptr<grpc::Channel> channel_;
};

}  // namespace appd::api
