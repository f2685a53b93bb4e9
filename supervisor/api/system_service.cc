// System: what this appd is, and how much it logs.
#include <algorithm>
#include <array>

#include "supervisor/api/change_options.h"
#include "supervisor/api/services.h"
#include "supervisor/model/text.h"

namespace appd::api {
namespace {

using System = v1::System::Service;

struct Level {
  const char* name;
  spdlog::level::level_enum value;
};
constexpr std::array kLevels = {
    Level{"trace", spdlog::level::trace}, Level{"debug", spdlog::level::debug},
    Level{"info", spdlog::level::info},   Level{"warn", spdlog::level::warn},
    Level{"error", spdlog::level::err},
};

std::string name_of(spdlog::level::level_enum value) {
  const auto found = std::find_if(kLevels.begin(), kLevels.end(),
                                  [&](const Level& level) { return level.value == value; });
  return found == kLevels.end() ? "off" : found->name;
}

void set_log_level(reconcile::Control& control,
                   UnaryCall<v1::SetLogLevelRequest, v1::SetLogLevelResponse>& call) {
  const std::string& wanted = call.request().level();
  const auto level = std::find_if(kLevels.begin(), kLevels.end(),
                                  [&](const Level& known) { return known.name == wanted; });
  if (level == kLevels.end()) {
    return call.reject(request_invalid(
        "level", "must be trace, debug, info, warn or error, but got " + model::in_quotes(wanted)));
  }
  auto options = options_of(call);
  if (!options) return;
  const auto answer = [](auto& done, spdlog::level::level_enum previous) {
    v1::SetLogLevelResponse response;
    response.set_previous_level(name_of(previous));
    done.finish(response);
  };
  control.set_log_level({level->value, *std::move(options)},
                        call.then<spdlog::level::level_enum>(answer));
}

void upgrade(reconcile::Control& control,
             UnaryCall<v1::UpgradeRequest, v1::UpgradeResponse>& call) {
  const std::string& binary = call.request().binary();
  if (!binary.empty() && binary.front() != '/') {
    return call.reject(
        request_invalid("binary", "must be an absolute path, but got " + model::in_quotes(binary)));
  }
  auto options = options_of(call);
  if (!options) return;
  const auto answer = [](auto& done, const reconcile::Upgraded& upgraded) {
    v1::UpgradeResponse response;
    response.set_previous_version(upgraded.previous_version);
    response.set_version(upgraded.version);
    response.set_pid(upgraded.pid);
    response.set_adopted_zygotes(upgraded.zygotes);
    response.set_adopted_workers(upgraded.workers);
    done.finish(response);
  };
  control.upgrade({binary, *std::move(options)}, call.then<reconcile::Upgraded>(answer));
}

void shut_down(reconcile::Control& control,
               UnaryCall<v1::ShutdownRequest, v1::ShutdownResponse>& call) {
  auto options = options_of(call);
  if (!options) return;
  const auto answer = [](auto& done, const reconcile::ShuttingDown& ending) {
    v1::ShutdownResponse response;
    response.set_apps(ending.apps);
    response.set_workers(ending.workers);
    done.finish(response);
  };
  control.shutdown({call.request().keep_apps(), *std::move(options)},
                   call.then<reconcile::ShuttingDown>(answer));
}

// False: the call is rejected.
template <typename Call>
bool check_path(Call& call) {
  const std::string& path = call.request().path();
  constexpr std::size_t kMost = 4095;  // PATH_MAX without its NUL
  if (path.starts_with('/') && path.size() <= kMost && !model::has_control_character(path)) {
    return true;
  }
  call.reject(request_invalid(
      "path", "must be an absolute path without control characters, at most " +
                  std::to_string(kMost) + " bytes long, but got " + model::in_quotes(path)));
  return false;
}

void backup_state(reconcile::Control& control,
                  UnaryCall<v1::BackupStateRequest, v1::BackupStateResponse>& call) {
  if (!check_path(call)) return;
  const auto answer = [](auto& done, const reconcile::BackupMade& made) {
    v1::BackupStateResponse response;
    response.set_path(done.request().path());
    response.set_size(made.size);
    response.set_schema_version(made.schema_version);
    response.set_apps(made.apps);
    done.finish(response);
  };
  control.backup_state({call.request().path(), call.caller()},
                       call.template then<reconcile::BackupMade>(answer));
}

void restore_state(reconcile::Control& control,
                   UnaryCall<v1::RestoreStateRequest, v1::RestoreStateResponse>& call) {
  if (!check_path(call)) return;
  auto options = options_of(call, "", call.request().validate_only());
  if (!options) return;
  const auto answer = [](auto& done, const std::vector<model::AppView>& apps) {
    v1::RestoreStateResponse response;
    for (const model::AppView& app : apps) to_proto(app, *response.add_apps());
    done.finish(response);
  };
  control.restore_state({call.request().path(), *std::move(options)},
                        call.template then<std::vector<model::AppView>>(answer));
}

}  // namespace

void SystemService::serve(CallHost& host) {
  serve_unary(host, service_, &System::GetServerInfo, [this](auto& call) {
    v1::ServerInfo response;
    to_proto(info_, response);
    response.set_revision(control_.revision());
    response.set_log_level(name_of(log_.level()));
    call.finish(response);
  });
  serve_unary(host, service_, &System::Upgrade, [this](auto& call) { upgrade(control_, call); });
  serve_unary(host, service_, &System::Shutdown, [this](auto& call) { shut_down(control_, call); });
  serve_unary(host, service_, &System::BackupState,
              [this](auto& call) { backup_state(control_, call); });
  serve_unary(host, service_, &System::RestoreState,
              [this](auto& call) { restore_state(control_, call); });
  serve_unary(host, service_, &System::SetLogLevel,
              [this](auto& call) { set_log_level(control_, call); });
}

}  // namespace appd::api
