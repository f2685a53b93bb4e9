// StatusRange: the HTTP statuses that a health check takes for healthy, "200" or "200-399".
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace appd::model {

struct StatusRange {
  std::uint16_t first = 0;
  std::uint16_t last = 0;

  bool operator==(const StatusRange&) const = default;
};

// Nothing unless both ends are final statuses (200 to 599) and in order.
std::optional<StatusRange> parse_status_range(std::string_view text);

}  // namespace appd::model
