// The services, each in a file of its own. Every one is owned by the engine, borrows the core, and
// serves on the API thread from serve() until the engine ends.
#pragma once

#include <spdlog/logger.h>

#include <memory>
#include <string>

#include "appd/v1/apps.grpc.pb.h"
#include "appd/v1/events.grpc.pb.h"
#include "appd/v1/logs.grpc.pb.h"
#include "appd/v1/operations.grpc.pb.h"
#include "appd/v1/stats.grpc.pb.h"
#include "appd/v1/system.grpc.pb.h"
#include "appd/v1/tokens.grpc.pb.h"
#include "appd/v1/workers.grpc.pb.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "supervisor/api/call.h"
#include "supervisor/api/convert.h"

namespace appd::api {

class AppsService {
 public:
  explicit AppsService(reconcile::Control& control) : control_(control) {}
  grpc::Service& generated() { return service_; }
  void serve(CallHost& host);

 private:
  reconcile::Control& control_;
  v1::Apps::AsyncService service_;
};

class WorkersService {
 public:
  explicit WorkersService(reconcile::Control& control) : control_(control) {}
  grpc::Service& generated() { return service_; }
  void serve(CallHost& host);

 private:
  reconcile::Control& control_;
  v1::Workers::AsyncService service_;
};

class OperationsService {
 public:
  explicit OperationsService(reconcile::Control& control) : control_(control) {}
  grpc::Service& generated() { return service_; }
  void serve(CallHost& host);

 private:
  reconcile::Control& control_;
  v1::Operations::AsyncService service_;
};

class EventsService {
 public:
  explicit EventsService(reconcile::Control& control) : control_(control) {}
  grpc::Service& generated() { return service_; }
  void serve(CallHost& host);

 private:
  reconcile::Control& control_;
  v1::Events::AsyncService service_;
};

class LogsService {
 public:
  explicit LogsService(reconcile::Control& control) : control_(control) {}
  grpc::Service& generated() { return service_; }
  void serve(CallHost& host);

 private:
  reconcile::Control& control_;
  v1::Logs::AsyncService service_;
};

class StatsService {
 public:
  explicit StatsService(reconcile::Control& control) : control_(control) {}
  grpc::Service& generated() { return service_; }
  void serve(CallHost& host);

 private:
  reconcile::Control& control_;
  v1::Stats::AsyncService service_;
};

class SystemService {
 public:
  SystemService(reconcile::Control& control, const model::ServerInfo& info, spdlog::logger& log)
      : control_(control), info_(info), log_(log) {}
  grpc::Service& generated() { return service_; }
  void serve(CallHost& host);

 private:
  reconcile::Control& control_;
  const model::ServerInfo& info_;
  spdlog::logger& log_;
  v1::System::AsyncService service_;
};

class TokensService {
 public:
  explicit TokensService(reconcile::Control& control) : control_(control) {}
  grpc::Service& generated() { return service_; }
  void serve(CallHost& host);

 private:
  reconcile::Control& control_;
  v1::Tokens::AsyncService service_;
};

// gRPC's own health service on our queue: the one that gRPC brings would start two threads that
// poll.
class HealthService {
 public:
  grpc::Service& generated() { return service_; }
  void serve(CallHost& host);

 private:
  ::grpc::health::v1::Health::AsyncService service_;
};

}  // namespace appd::api
