// The point of no return of a change.
#include "supervisor/core/cancel.h"

namespace appd::core {
namespace {

Error too_late(const std::string& why) {
  return {ErrorCode::FailedPrecondition, "NOT_CANCELLABLE", why, 0};
}

}  // namespace

Result<void> check_cancellable(const model::Operation& operation, const AppState& app) {
  const std::string& id = operation.app;
  if (operation.kind == model::OperationKind::Delete) {
    return too_late("the app " + id + " drains already: when it is gone, create it anew");
  }
  if (operation.rollout == 0) {
    return too_late(
        "it brings no new rollout: running workers take it over from its first moment on; change " +
        id + " back, or see appctl rollback " + id);
  }
  const auto serving = app.serving();
  if (!serving) {
    return too_late("nothing served before it that could serve on: see appctl stop " + id +
                    ", appctl rollback " + id + " or appctl delete " + id);
  }
  const auto coming = app.coming();
  const bool proved = coming && app.find(*coming)->number == operation.rollout &&
                      app.find(*coming)->phase >= RolloutPhase::Switching;
  if (proved || app.find(*serving)->number == operation.rollout) {
    return too_late("rollout " + std::to_string(operation.rollout) +
                    " has proved itself and takes over: to go back, see appctl rollback " + id);
  }
  return {};
}

}  // namespace appd::core
