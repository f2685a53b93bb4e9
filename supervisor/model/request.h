// A request that a worker has in hand, as its slot on the scoreboard shows it. Values only.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "supervisor/model/death.h"

namespace appd::model {

struct RequestView {
  std::string app;
  std::int32_t worker = 0;
  std::int32_t pid = 0;
  std::uint32_t number = 0;
  std::string method;
  std::string path;
  std::chrono::steady_clock::time_point started;
  Milliseconds age{0};
  RequestStage stage = RequestStage::InApp;
  bool cancellable = false;
};

struct RequestsView {
  std::vector<RequestView> named;
  std::int64_t unnamed = 0;     // in hand too; the scoreboard has no room for them
  std::int64_t websockets = 0;  // open
};

}  // namespace appd::model
