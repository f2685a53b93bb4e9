// FakeAppd: appd's API in the test's own process. Each test scripts what the calls answer; every
// request is kept for inspection.
#pragma once

#include <grpcpp/grpcpp.h>

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "appd/v1/apps.grpc.pb.h"
#include "appd/v1/events.grpc.pb.h"
#include "appd/v1/logs.grpc.pb.h"
#include "appd/v1/operations.grpc.pb.h"
#include "appd/v1/system.grpc.pb.h"
#include "appd/v1/workers.grpc.pb.h"

namespace appd::ctl {

// A status as appd makes them: code, ErrorInfo.reason, violations.
grpc::Status refusal(grpc::StatusCode code, const std::string& reason, const std::string& message,
                     const std::vector<std::pair<std::string, std::string>>& violations = {});

// What a method answers; unscripted calls are UNIMPLEMENTED.
template <typename Request, typename Response>
using Script = std::function<grpc::Status(const Request&, Response&)>;

// Scripts run on gRPC's threads. Set them before start().
class FakeAppd : v1::Apps::Service,
                 v1::Workers::Service,
                 v1::Operations::Service,
                 v1::System::Service,
                 v1::Events::Service,
                 v1::Logs::Service {
 public:
  FakeAppd();
  ~FakeAppd() override;
  void start();
  // Ends all calls that are under way, as a killed appd does, and closes the socket.
  void stop();
  std::string address() const { return "unix:" + path_; }

  Script<v1::CreateAppRequest, v1::App> create;
  Script<v1::GetAppRequest, v1::App> get;
  Script<v1::ListAppsRequest, v1::ListAppsResponse> list;
  Script<v1::UpdateAppRequest, v1::App> update;
  Script<v1::DeleteAppRequest, v1::Operation> remove;
  Script<v1::ScaleAppRequest, v1::Operation> scale;
  Script<v1::ReloadAppRequest, v1::Operation> reload;
  Script<v1::RollbackAppRequest, v1::Operation> rollback;
  Script<v1::ListRevisionsRequest, v1::ListRevisionsResponse> revisions;
  Script<v1::WaitOperationRequest, v1::Operation> wait;
  Script<v1::GetOperationRequest, v1::Operation> get_operation;
  Script<v1::CancelOperationRequest, v1::Operation> cancel;
  Script<v1::ListWorkersRequest, v1::ListWorkersResponse> workers;
  Script<v1::ListDeathsRequest, v1::ListDeathsResponse> deaths;
  Script<v1::GetDeathRequest, v1::Death> death;
  // Writes events; the stream ends with the status.
  std::function<grpc::Status(const v1::WatchRequest&, grpc::ServerWriter<v1::WatchResponse>&)>
      watch;
  std::function<grpc::Status(const v1::ReadLogsRequest&, grpc::ServerWriter<v1::LogEntry>&)> logs;
  Script<v1::ReopenLogsRequest, v1::ReopenLogsResponse> reopen;
  Script<v1::UpgradeRequest, v1::UpgradeResponse> upgrade;
  Script<v1::ShutdownRequest, v1::ShutdownResponse> shut_down;

  // All requests so far whose type is Request, in order.
  template <typename Request>
  std::vector<Request> requests() {
    const std::lock_guard lock(mutex_);
    std::vector<Request> found;
    for (const auto& each : requests_) {
      if (const auto* request = dynamic_cast<const Request*>(each.get())) found.push_back(*request);
    }
    return found;
  }
  // The user-agent of the last call of ListRevisions.
  std::string user_agent() {
    const std::lock_guard lock(mutex_);
    return user_agent_;
  }
  // How many calls have come, of any kind.
  std::size_t calls() {
    const std::lock_guard lock(mutex_);
    return requests_.size();
  }
  // Blocks until a request of that type has come (10 s at most); false if none has.
  template <typename Request>
  bool wait_for_request() {
    std::unique_lock lock(mutex_);
    return arrived_.wait_for(lock, std::chrono::seconds(10), [this] {
      for (const auto& each : requests_) {
        if (dynamic_cast<const Request*>(each.get()) != nullptr) return true;
      }
      return false;
    });
  }

 private:
  template <typename Request, typename Response>
  grpc::Status answer(const Script<Request, Response>& script, const Request* request,
                      Response* response) {
    {
      const std::lock_guard lock(mutex_);
      requests_.push_back(std::make_unique<Request>(*request));
    }
    arrived_.notify_all();
    if (!script) return {grpc::StatusCode::UNIMPLEMENTED, "not scripted"};
    return script(*request, *response);
  }

  using Context = grpc::ServerContext;
  grpc::Status CreateApp(Context*, const v1::CreateAppRequest* request,
                         v1::App* response) override {
    return answer(create, request, response);
  }
  grpc::Status GetApp(Context*, const v1::GetAppRequest* request, v1::App* response) override {
    return answer(get, request, response);
  }
  grpc::Status ListApps(Context*, const v1::ListAppsRequest* request,
                        v1::ListAppsResponse* response) override {
    return answer(list, request, response);
  }
  grpc::Status UpdateApp(Context*, const v1::UpdateAppRequest* request,
                         v1::App* response) override {
    return answer(update, request, response);
  }
  grpc::Status DeleteApp(Context*, const v1::DeleteAppRequest* request,
                         v1::Operation* response) override {
    return answer(remove, request, response);
  }
  grpc::Status ScaleApp(Context*, const v1::ScaleAppRequest* request,
                        v1::Operation* response) override {
    return answer(scale, request, response);
  }
  grpc::Status ReloadApp(Context*, const v1::ReloadAppRequest* request,
                         v1::Operation* response) override {
    return answer(reload, request, response);
  }
  grpc::Status RollbackApp(Context*, const v1::RollbackAppRequest* request,
                           v1::Operation* response) override {
    return answer(rollback, request, response);
  }
  grpc::Status ListRevisions(Context* context, const v1::ListRevisionsRequest* request,
                             v1::ListRevisionsResponse* response) override;
  grpc::Status WaitOperation(Context*, const v1::WaitOperationRequest* request,
                             v1::Operation* response) override {
    return answer(wait, request, response);
  }
  grpc::Status GetOperation(Context*, const v1::GetOperationRequest* request,
                            v1::Operation* response) override {
    return answer(get_operation, request, response);
  }
  grpc::Status CancelOperation(Context*, const v1::CancelOperationRequest* request,
                               v1::Operation* response) override {
    return answer(cancel, request, response);
  }
  grpc::Status ListWorkers(Context*, const v1::ListWorkersRequest* request,
                           v1::ListWorkersResponse* response) override {
    return answer(workers, request, response);
  }
  grpc::Status ListDeaths(Context*, const v1::ListDeathsRequest* request,
                          v1::ListDeathsResponse* response) override {
    return answer(deaths, request, response);
  }
  grpc::Status GetDeath(Context*, const v1::GetDeathRequest* request,
                        v1::Death* response) override {
    return answer(death, request, response);
  }
  grpc::Status Watch(Context* context, const v1::WatchRequest* request,
                     grpc::ServerWriter<v1::WatchResponse>* writer) override;
  grpc::Status ReadLogs(Context*, const v1::ReadLogsRequest* request,
                        grpc::ServerWriter<v1::LogEntry>* writer) override;
  grpc::Status ReopenLogs(Context*, const v1::ReopenLogsRequest* request,
                          v1::ReopenLogsResponse* response) override {
    return answer(reopen, request, response);
  }

  grpc::Status Upgrade(Context*, const v1::UpgradeRequest* request,
                       v1::UpgradeResponse* response) override {
    return answer(upgrade, request, response);
  }
  grpc::Status Shutdown(Context*, const v1::ShutdownRequest* request,
                        v1::ShutdownResponse* response) override {
    return answer(shut_down, request, response);
  }

  std::string directory_;
  std::string path_;
  std::mutex mutex_;  // guards requests_ and user_agent_
  std::condition_variable arrived_;
  std::vector<std::unique_ptr<google::protobuf::Message>> requests_;
  std::string user_agent_;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace appd::ctl
