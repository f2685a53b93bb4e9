// EarlyHints: environ["wsgi.early_hints"], called with (name, value) tuples as start_response()
// takes them: sends 103 Early Hints (RFC 8297). gunicorn has the same since its version 23.
#pragma once

#include "worker/engine/exchange.h"
#include "worker/gateway/python.h"

namespace appd::gateway {

// A new callable; empty with an exception set.
PyRef make_early_hints();
// Whose hints it sends from now on; with nullptr every call raises.
void bind_early_hints(PyObject* early_hints, engine::Exchange* exchange);

}  // namespace appd::gateway
