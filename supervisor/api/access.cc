// The table.
#include "supervisor/api/access.h"

#include <map>
#include <string>
#include <string_view>

namespace appd::api {
namespace {

using enum model::Role;

const std::map<std::string_view, model::Role>& roles() {
  static const std::map<std::string_view, model::Role> kRoles = {
      {"appd.v1.GetAppRequest", Viewer},          {"appd.v1.ListAppsRequest", Viewer},
      {"appd.v1.ListRevisionsRequest", Viewer},   {"appd.v1.GetWorkerRequest", Viewer},
      {"appd.v1.ListWorkersRequest", Viewer},     {"appd.v1.GetDeathRequest", Viewer},
      {"appd.v1.ListDeathsRequest", Viewer},      {"appd.v1.GetOperationRequest", Viewer},
      {"appd.v1.ListOperationsRequest", Viewer},  {"appd.v1.WaitOperationRequest", Viewer},
      {"appd.v1.WatchRequest", Viewer},           {"appd.v1.ReadLogsRequest", Viewer},
      {"appd.v1.WatchStatsRequest", Viewer},      {"appd.v1.ListRequestsRequest", Viewer},
      {"appd.v1.GetServerInfoRequest", Viewer},   {"grpc.health.v1.HealthCheckRequest", Viewer},
      {"appd.v1.ScaleAppRequest", Deployer},      {"appd.v1.ReloadAppRequest", Deployer},
      {"appd.v1.RollbackAppRequest", Deployer},   {"appd.v1.RecycleWorkerRequest", Deployer},
      {"appd.v1.DumpStacksRequest", Deployer},  // a signal to a worker
      {"appd.v1.ReopenLogsRequest", Deployer},    {"appd.v1.CancelOperationRequest", Deployer},
      {"appd.v1.CancelRequestRequest", Deployer}, {"appd.v1.CreateAppRequest", Admin},
      {"appd.v1.UpdateAppRequest", Admin},        {"appd.v1.DeleteAppRequest", Admin},
      {"appd.v1.SetLogLevelRequest", Admin},      {"appd.v1.UpgradeRequest", Admin},
      {"appd.v1.ShutdownRequest", Admin},         {"appd.v1.BackupStateRequest", Admin},
      {"appd.v1.RestoreStateRequest", Admin},
  };
  return kRoles;
}

}  // namespace

std::string method_of(const google::protobuf::Descriptor& request) {
  constexpr std::string_view kSuffix = "Request";
  return request.name().substr(0, request.name().size() - kSuffix.size());
}

std::optional<model::Role> needed_role(const google::protobuf::Descriptor& request) {
  const auto found = roles().find(request.full_name());
  if (found == roles().end()) return std::nullopt;
  return found->second;
}

std::optional<reconcile::Rejection> check_role(model::Role has,
                                               const google::protobuf::Descriptor& request) {
  const model::Role needed = needed_role(request).value_or(Admin);
  if (has >= needed) return std::nullopt;
  return reconcile::Rejection{
      Error{ErrorCode::PermissionDenied, "ROLE_TOO_LOW",
            method_of(request) + " needs the role " + std::string(to_string(needed)) +
                ", but who connects to this socket is a " + std::string(to_string(has)) +
                ": use appd's other socket, or ask whoever runs appd for it"},
      {}};
}

}  // namespace appd::api
