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
#include "supervisor/api/raw_service.h"

namespace appd::api {

class AppsService {
 public:
  explicit AppsService(reconcile::Control& control) : control_(control) {}
  RawService& raw() { return service_; }
  void serve(CallHost& host);

 private:
  reconcile::Control& control_;
  RawService service_{v1::App::descriptor()->file()};
};

class WorkersService {
 public:
  explicit WorkersService(reconcile::Control& control) : control_(control) {}
  RawService& raw() { return service_; }
  void serve(CallHost& host);

 private:
  reconcile::Control& control_;
  RawService service_{v1::Worker::descriptor()->file()};
};

class OperationsService {
 public:
  explicit OperationsService(reconcile::Control& control) : control_(control) {}
  RawService& raw() { return service_; }
  void serve(CallHost& host);

 private:
  reconcile::Control& control_;
  RawService service_{v1::Operation::descriptor()->file()};
};

class EventsService {
 public:
  explicit EventsService(reconcile::Control& control) : control_(control) {}
  RawService& raw() { return service_; }
  void serve(CallHost& host);

 private:
  reconcile::Control& control_;
  RawService service_{v1::WatchRequest::descriptor()->file()};
};

class LogsService {
 public:
  explicit LogsService(reconcile::Control& control) : control_(control) {}
  RawService& raw() { return service_; }
  void serve(CallHost& host);

 private:
  reconcile::Control& control_;
  RawService service_{v1::LogEntry::descriptor()->file()};
};

class StatsService {
 public:
  explicit StatsService(reconcile::Control& control) : control_(control) {}
  RawService& raw() { return service_; }
  void serve(CallHost& host);

 private:
  reconcile::Control& control_;
  RawService service_{v1::WatchStatsRequest::descriptor()->file()};
};

class SystemService {
 public:
  SystemService(reconcile::Control& control, const model::ServerInfo& info, spdlog::logger& log)
      : control_(control), info_(info), log_(log) {}
  RawService& raw() { return service_; }
  void serve(CallHost& host);

 private:
  reconcile::Control& control_;
  const model::ServerInfo& info_;
  spdlog::logger& log_;
  RawService service_{v1::ServerInfo::descriptor()->file()};
};

class TokensService {
 public:
  explicit TokensService(reconcile::Control& control) : control_(control) {}
  RawService& raw() { return service_; }
  void serve(CallHost& host);

 private:
  reconcile::Control& control_;
  RawService service_{v1::Token::descriptor()->file()};
};

// gRPC's own health service on our queue: the one that gRPC brings would start two threads that
// poll.
class HealthService {
 public:
  RawService& raw() { return service_; }
  void serve(CallHost& host);

 private:
  RawService service_{::grpc::health::v1::HealthCheckRequest::descriptor()->file()};
};

}  // namespace appd::api
