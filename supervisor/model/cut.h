// Cut: what workers that were told to go had in hand when their time was over. Values only.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "supervisor/model/death.h"

namespace appd::model {

struct CutWorker {
  std::int32_t worker = 0;
  std::int64_t rollout = 0;
  std::int64_t death = 0;  // number of its certificate
  std::string limit;       // the setting that it went over: "graceful_timeout"; empty: none
  std::int32_t requests = 0;
  std::int32_t websockets = 0;
  std::vector<LostRequest> in_hand;  // the requests that are known by name

  bool operator==(const CutWorker&) const = default;
};

struct Cut {
  std::int32_t workers = 0;
  std::int32_t requests = 0;
  std::int32_t websockets = 0;
  Milliseconds graceful_timeout{0};  // as it was when the first of them was cut
  std::vector<CutWorker> first;      // kNamed of them at most

  static constexpr std::size_t kNamed = 16;
  bool any() const { return workers > 0; }
  void add(CutWorker worker, Milliseconds limit);

  bool operator==(const Cut&) const = default;
};

// "2 requests and 1 WebSocket", or "nothing that is known".
std::string cut_words(std::int32_t requests, std::int32_t websockets);

}  // namespace appd::model
