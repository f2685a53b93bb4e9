// version "-" trace-id "-" parent-id "-" trace-flags, of a length each.
#include "worker/http/trace_context.h"

#include <algorithm>

namespace appd::http {
namespace {

bool is_hex(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

bool is_id(std::string_view text) {
  return is_hex(text) && text.find_first_not_of('0') != std::string_view::npos;
}

}  // namespace

std::string_view trace_id_of(std::string_view traceparent) {
  constexpr std::size_t kLength = 55;
  if (traceparent.size() < kLength || traceparent[2] != '-' || traceparent[35] != '-' ||
      traceparent[52] != '-') {
    return {};
  }
  const std::string_view version = traceparent.substr(0, 2);
  const std::string_view trace = traceparent.substr(3, 32);
  if (!is_hex(version) || version == "ff" || !is_id(trace) || !is_id(traceparent.substr(36, 16)) ||
      !is_hex(traceparent.substr(53, 2))) {
    return {};
  }
  // Later versions may have more, behind another hyphen.
  const std::string_view more = traceparent.substr(kLength);
  if (!more.empty() && (version == "00" || more[0] != '-')) return {};
  return trace;
}

}  // namespace appd::http
