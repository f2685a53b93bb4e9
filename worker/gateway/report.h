// Lines on what apps do wrong.
#pragma once

#include <cstdint>

#include "worker/engine/exchange.h"

namespace appd::gateway {

// The exception that is set, with its traceback, on stderr; it is not set any more. `exchange` may
// be nullptr.
void report_exception(std::uint32_t worker, const engine::Exchange* exchange);

// The body has not the length that the app has announced, if that is so.
void report_length(std::uint32_t worker, const engine::Exchange& exchange);

}  // namespace appd::gateway
