// What "roll back" means when no revision is named. PURE.
#pragma once

#include <cstdint>
#include <vector>

#include "common/result.h"
#include "supervisor/model/revision.h"

namespace appd::core {

// The number of the revision to go back to, of a history that is sorted from the newest, which is
// the present, to the oldest:
//   the present change was taken back           nothing to roll back, it has been
//   it has succeeded                            the last good one that wants something else
//   it has not (failed, under way)              the last good one before it
// Error NOTHING_TO_ROLL_BACK when there is none.
Result<std::int64_t> revision_to_roll_back_to(const std::vector<model::Revision>& newest_first);

// The newest revision with just this spec; 0: none.
std::int64_t revision_with(const std::vector<model::Revision>& newest_first,
                           const model::AppSpec& spec);

}  // namespace appd::core
