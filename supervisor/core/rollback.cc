// The choice of a revision.
#include "supervisor/core/rollback.h"

#include <algorithm>

namespace appd::core {
namespace {

Error nothing(std::string why) {
  return {ErrorCode::FailedPrecondition, "NOTHING_TO_ROLL_BACK", std::move(why), 0};
}

// Whether an app runs is no part of what is rolled back.
bool same_wish(const model::AppSpec& a, model::AppSpec b) {
  b.run_mode = a.run_mode;
  return a == b;
}

}  // namespace

Result<std::int64_t> revision_to_roll_back_to(const std::vector<model::Revision>& newest_first) {
  if (newest_first.empty()) return nothing("the app has no history");
  const model::Revision& present = newest_first.front();
  if (present.automatic() || present.outcome == model::OperationPhase::RolledBack ||
      present.outcome == model::OperationPhase::Cancelled) {
    return nothing(
        "the last change has been taken back already: what served before it serves on; "
        "name a revision to go back further (appctl history shows them)");
  }
  const bool succeeded = present.outcome == model::OperationPhase::Succeeded;
  const auto found = std::find_if(
      newest_first.begin() + 1, newest_first.end(), [&](const model::Revision& earlier) {
        return earlier.good() && !(succeeded && same_wish(earlier.spec, present.spec));
      });
  if (found == newest_first.end()) {
    return nothing(
        "no earlier revision that is kept has served with other settings; see appctl "
        "history");
  }
  return found->number;
}

std::int64_t revision_with(const std::vector<model::Revision>& newest_first,
                           const model::AppSpec& spec) {
  const auto found = std::find_if(newest_first.begin(), newest_first.end(),
                                  [&spec](const auto& each) { return each.spec == spec; });
  return found == newest_first.end() ? 0 : found->number;
}

}  // namespace appd::core
