// Lane: what one serving thread needs for itself while it reads requests.
#pragma once

#include <array>
#include <memory>

#include "worker/http/request_head.h"

namespace appd::engine {

// Owned by its thread. A request's head may look into it until the exchange is finished.
struct Lane {
  static constexpr std::size_t kInput = 64 * 1024;
  std::unique_ptr<char[]> input = std::make_unique_for_overwrite<char[]>(kInput);
  http::RequestHead head;
};

}  // namespace appd::engine
