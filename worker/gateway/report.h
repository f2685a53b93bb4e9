// Lines on what apps do wrong.
#pragma once

#include <cstdint>

#include "worker/engine/exchange.h"
#include "worker/gateway/python.h"

namespace appd::gateway {

// The exception that is set, with its traceback, on stderr; it is not set any more. `exchange` may
// be nullptr.
void report_exception(std::uint32_t worker, const engine::Exchange* exchange);

// A request has been in hand for longer than request_timeout, or is cancelled, and is being ended.
void report_overdue(std::uint32_t worker, const engine::Exchange& exchange);
// What is thrown into a greenlet for that: a BaseException, borrowed; nullptr with an exception
// set. First called while no exception is set.
PyObject* request_timeout();

// The body has not the length that the app has announced, if that is so.
void report_length(std::uint32_t worker, const engine::Exchange& exchange);

}  // namespace appd::gateway
