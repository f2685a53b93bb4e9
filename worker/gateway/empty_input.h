// The wsgi.input of every request without a body: one stateless object, always at its end.
#pragma once

#include "worker/gateway/python.h"

namespace appd::gateway {

// A new reference to an instance; nullptr with an exception set.
PyObject* make_empty_input();

}  // namespace appd::gateway
