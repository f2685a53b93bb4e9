// The tables.
#include "supervisor/api/access.h"

#include <map>
#include <set>
#include <string>
#include <string_view>

#include "supervisor/model/text.h"

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
      {"appd.v1.RestoreStateRequest", Admin},     {"appd.v1.CreateTokenRequest", Admin},
      {"appd.v1.ListTokensRequest", Admin},       {"appd.v1.DeleteTokenRequest", Admin},
  };
  return kRoles;
}

// What is about no app, or shows only the apps that the caller's rights cover.
bool shows_only_what_is_covered(const google::protobuf::Descriptor& request) {
  static const std::set<std::string_view> kMethods = {
      "appd.v1.ListAppsRequest",        "appd.v1.ListWorkersRequest",
      "appd.v1.ListDeathsRequest",      "appd.v1.ListOperationsRequest",
      "appd.v1.GetOperationRequest",    "appd.v1.WaitOperationRequest",
      "appd.v1.CancelOperationRequest", "appd.v1.WatchRequest",
      "appd.v1.WatchStatsRequest",      "appd.v1.ListRequestsRequest",
      "appd.v1.GetServerInfoRequest",   "grpc.health.v1.HealthCheckRequest",
  };
  return kMethods.contains(request.full_name());
}

// "web" of "apps/web" and "apps/web/workers/3"; empty: it names no app.
std::string_view app_in(std::string_view name) {
  constexpr std::string_view kApps = "apps/";
  if (!name.starts_with(kApps)) return {};
  name.remove_prefix(kApps.size());
  name = name.substr(0, name.find('/'));
  return name == "-" ? std::string_view() : name;
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
                                               const google::protobuf::Descriptor& request,
                                               const std::string& identity) {
  const model::Role needed = needed_role(request).value_or(Admin);
  if (has >= needed) return std::nullopt;
  std::string message = method_of(request) + " needs the role " + std::string(to_string(needed));
  if (identity.empty()) {
    message += ", but who connects to this socket is a " + std::string(to_string(has)) +
               ": use appd's other socket, or ask whoever runs appd for it";
  } else {
    message += ", but " + identity + " is a " + std::string(to_string(has)) +
               " here: ask whoever runs appd for more";
  }
  return reconcile::Rejection{{ErrorCode::PermissionDenied, "ROLE_TOO_LOW", message}, {}};
}

reconcile::Rejection app_not_allowed(const model::Rights& rights, const std::string& identity,
                                     const std::string& what) {
  std::string apps;
  for (const std::string& app : rights.apps) apps += (apps.empty() ? "" : ", ") + app;
  return {
      {ErrorCode::PermissionDenied, "APP_NOT_ALLOWED",
       identity + " is for " + apps + " only, and " + what + ": ask whoever runs appd for more"},
      {}};
}

std::optional<reconcile::Rejection> check_apps(const model::Rights& rights,
                                               const google::protobuf::Message& request,
                                               const std::string& identity) {
  if (rights.apps.empty()) return std::nullopt;
  const auto& type = *request.GetDescriptor();
  bool named = false;
  for (const char* field_name : {"name", "parent", "app"}) {
    const auto* field = type.FindFieldByName(field_name);
    if (field == nullptr || field->is_repeated() ||
        field->cpp_type() != google::protobuf::FieldDescriptor::CPPTYPE_STRING) {
      continue;
    }
    const std::string name = request.GetReflection()->GetString(request, field);
    const std::string_view app = app_in(name);
    if (app.empty()) continue;
    if (!rights.covers(app)) {
      return app_not_allowed(rights, identity, "this is about " + model::in_quotes(app));
    }
    named = true;
  }
  if (named || shows_only_what_is_covered(type)) return std::nullopt;
  return app_not_allowed(rights, identity, method_of(type) + " is about all apps here");
}

}  // namespace appd::api
