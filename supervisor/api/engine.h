// Engine: gRPC, for as long as there are clients.
#pragma once

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <future>
#include <map>
#include <mutex>
#include <thread>
#include <unordered_map>

#include "common/unique_fd.h"
#include "supervisor/api/call.h"
#include "supervisor/api/services.h"

namespace appd::api {

// Owns the gRPC server, its queue, the services, and the one API thread on which every call is
// served. Made and ended by the thread that accepts clients; the calls' side (CallHost) is the API
// thread's.
class Engine final : private CallHost {
 public:
  static Result<std::unique_ptr<Engine>> start(reconcile::Control& control,
                                               const model::ServerInfo& info, spdlog::logger& log);
  // Ends every call with SHUTTING_DOWN, and what is still going on after `grace` anyhow.
  ~Engine();
  void set_grace(std::chrono::milliseconds grace) { grace_ = grace; }

  // Takes a nonblocking connection over.
  void add_client(UniqueFd client, Peer who);

 private:
  Engine(reconcile::Control& control, const model::ServerInfo& info, spdlog::logger& log);
  bool build();
  void serve();
  void refuse_everything();

  grpc::ServerCompletionQueue& queue() override { return *queue_; }
  const std::shared_ptr<Mailbox>& mailbox() override { return mailbox_; }
  void keep(std::shared_ptr<Call> call) override;
  void drop(Call* call) override;
  bool closing() const override { return closing_; }
  Peer peer(const std::string& name) override;
  void count(const std::string& method, grpc::StatusCode code) override;

  reconcile::Control& control_;
  // What serves must outlive the server.
  AppsService apps_;
  WorkersService workers_;
  OperationsService operations_;
  EventsService events_;
  LogsService logs_;
  StatsService stats_;
  SystemService system_;
  HealthService health_;
  std::unique_ptr<grpc::ServerCompletionQueue> queue_;
  std::unique_ptr<grpc::Server> server_;
  std::shared_ptr<Mailbox> mailbox_;
  std::thread thread_;
  std::chrono::milliseconds grace_{0};

  // API thread.
  std::unordered_map<Call*, std::shared_ptr<Call>> calls_;
  bool closing_ = false;
  std::promise<void> drained_;  // closing, and no call is left

  std::mutex mutex_;                   // guards peers_
  std::map<std::string, Peer> peers_;  // by gRPC's name of the connection, "fd:7"
};

}  // namespace appd::api
