// Percent-encoding (RFC 3986 §2.1).
#pragma once

#include <string>
#include <string_view>

namespace appd::http {

// "%41" → "A"; what is no valid escape stays as it is.
std::string percent_decoded(std::string_view text);

}  // namespace appd::http
