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
#include "supervisor/api/ring.h"
#include "supervisor/api/services.h"
#include "supervisor/runtime/certificates.h"
#include "supervisor/runtime/client_gate.h"

namespace appd::api {

// Owns the gRPC server, its queue, the services, and the one API thread on which every call is
// served. Made and ended by the thread that accepts clients; the calls' side (CallHost) is the API
// thread's.
class Engine final : private CallHost {
 public:
  // The certificates of each entrance with TLS, by its number.
  using Tls = std::map<std::size_t, std::unique_ptr<runtime::Certificates>>;

  // All of it is borrowed and must outlive the engine.
  static Result<std::unique_ptr<Engine>> start(reconcile::Control& control,
                                               const model::ServerInfo& info, Guard& guard,
                                               const Tls& tls,
                                               const std::shared_ptr<spdlog::logger>& log);
  // Ends every call with SHUTTING_DOWN, and what is still going on after `grace` anyhow.
  ~Engine();
  void set_grace(std::chrono::milliseconds grace) { grace_ = grace; }

  // Takes a nonblocking connection over.
  void add_client(UniqueFd client, runtime::ConnectionPtr connection);

 private:
  Engine(reconcile::Control& control, const model::ServerInfo& info, Guard& guard,
         spdlog::logger& log);
  bool build(const Tls& tls, spdlog::logger& log);
  void serve();
  void refuse_everything();

  grpc::ServerCompletionQueue& queue() override { return *queue_; }
  const std::shared_ptr<Mailbox>& mailbox() override { return mailbox_; }
  void keep(std::shared_ptr<Call> call) override;
  void drop(Call* call) override;
  bool closing() const override { return closing_; }
  runtime::ConnectionPtr connection_of(const grpc::ServerContext& context) override;
  Answer<Identity> identify(runtime::Connection& connection, const grpc::ServerContext& context,
                            const google::protobuf::Descriptor* type) override;
  std::optional<Rejection> check(const Identity& identity,
                                 const google::protobuf::Message& request) override;
  void end_revoked() override;
  void ring_at(model::WallTime expire_time);
  void count(const std::string& method, grpc::StatusCode code) override;

  reconcile::Control& control_;
  Guard& guard_;
  // What serves must outlive the server.
  AppsService apps_;
  WorkersService workers_;
  OperationsService operations_;
  EventsService events_;
  LogsService logs_;
  StatsService stats_;
  SystemService system_;
  TokensService tokens_;
  HealthService health_;
  grpc::AsyncGenericService unknown_;  // whatever is none of theirs
  Services known_;
  struct TlsDoor {
    std::shared_ptr<grpc::ServerCredentials> credentials;  // gRPC asks them at each handshake
    std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> acceptor;
  };
  std::map<std::size_t, TlsDoor> tls_doors_;
  std::unique_ptr<grpc::ServerCompletionQueue> queue_;
  std::unique_ptr<grpc::Server> server_;
  std::shared_ptr<Mailbox> mailbox_;
  std::thread thread_;
  std::chrono::milliseconds grace_{0};

  // API thread.
  std::unordered_map<Call*, std::shared_ptr<Call>> calls_;
  bool closing_ = false;
  std::promise<void> drained_;  // closing, and no call is left
  Ring* ring_ = nullptr;        // when the first of the tokens in use expires
  model::WallTime rings_at_;

  std::mutex mutex_;  // guards connections_
  // By gRPC's name of the connection: "fd:7" of a unix socket, else the address, "10.0.0.7:53230".
  std::map<std::string, runtime::ConnectionPtr> connections_;
};

}  // namespace appd::api
