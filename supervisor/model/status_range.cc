// The grammar: three digits, or two times three digits with a hyphen between.
#include "supervisor/model/status_range.h"

#include <algorithm>
#include <charconv>

namespace appd::model {
namespace {

std::optional<std::uint16_t> parse_status(std::string_view text) {
  const auto digit = [](char c) { return c >= '0' && c <= '9'; };
  if (text.size() != 3 || !std::all_of(text.begin(), text.end(), digit)) return std::nullopt;
  std::uint16_t status = 0;
  std::from_chars(text.data(), text.data() + text.size(), status);
  if (status < 200 || status > 599) return std::nullopt;
  return status;
}

}  // namespace

std::optional<StatusRange> parse_status_range(std::string_view text) {
  const std::size_t hyphen = text.find('-');
  const auto first = parse_status(text.substr(0, hyphen));
  const auto last =
      hyphen == std::string_view::npos ? first : parse_status(text.substr(hyphen + 1));
  if (!first || !last || *first > *last) return std::nullopt;
  return StatusRange{*first, *last};
}

}  // namespace appd::model
