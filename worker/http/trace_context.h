// W3C Trace Context: what the field traceparent says. https://www.w3.org/TR/trace-context/
#pragma once

#include <string_view>

namespace appd::http {

// The trace-id, 32 digits; empty if the value is not valid.
std::string_view trace_id_of(std::string_view traceparent);

}  // namespace appd::http
