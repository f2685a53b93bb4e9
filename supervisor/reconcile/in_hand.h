// What a worker's slot on the scoreboard says of its requests in hand.
#pragma once

#include <vector>

#include "common/scoreboard.h"
#include "supervisor/model/request.h"

namespace appd::reconcile {

// Oldest first; of each what the slot has, without whose it is.
std::vector<model::RequestView> requests_in_hand(const ScoreboardSlot& slot,
                                                 std::chrono::steady_clock::time_point now);

}  // namespace appd::reconcile
