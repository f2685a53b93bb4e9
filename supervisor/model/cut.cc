// Adding up what was cut.
#include "supervisor/model/cut.h"

#include <utility>

namespace appd::model {
namespace {

std::string several(std::int32_t number, const char* what) {
  return std::to_string(number) + " " + what + (number == 1 ? "" : "s");
}

}  // namespace

void Cut::add(CutWorker worker, Milliseconds limit) {
  if (workers++ == 0) graceful_timeout = limit;
  requests += worker.requests;
  websockets += worker.websockets;
  if (first.size() < kNamed) first.push_back(std::move(worker));
}

std::string cut_words(std::int32_t requests, std::int32_t websockets) {
  if (requests == 0 && websockets == 0) return "nothing that is known";
  if (websockets == 0) return several(requests, "request");
  if (requests == 0) return several(websockets, "WebSocket");
  return several(requests, "request") + " and " + several(websockets, "WebSocket");
}

}  // namespace appd::model
