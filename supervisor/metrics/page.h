// Page: the one page that a metrics server has, by HTTP/1.1. No I/O.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "common/result.h"

namespace appd::metrics {

// Makes the answer to a request of which so much has come; nothing: there must come more. GET and
// HEAD of "/metrics" get the text; all else, and all that is no request, an error. No connection
// outlives its first answer, so what follows a head is never looked at.
std::optional<std::string> answer(std::string_view received,
                                  const std::function<Result<std::string>()>& text);

}  // namespace appd::metrics
