// StartResponse: the callables that a WSGI app gets for one request, start_response and write.
#pragma once

#include "worker/engine/exchange.h"
#include "worker/gateway/python.h"

namespace appd::gateway {

// Checks a (name, value) tuple of an app's and adds it. False with an exception set.
bool add_header(http::ResponseHead& response, PyObject* pair);

// Sends a chunk and waits, without the interpreter's lock, while too much is pending; in an event
// loop, where that would hold up all others, such a client is given up. False: the client is gone.
bool send_chunk(engine::Exchange& exchange, std::string_view chunk);

// Owns the Python objects and uses them again for the next request when the app has kept none of
// them. Belongs to one serving thread; under the interpreter's lock.
class StartResponse {
 public:
  // The arguments to call the app with, borrowed; nullptr with an exception set.
  PyObject* bind(engine::Exchange& exchange, PyRef environ);
  // The request is over: callables that the app has kept raise from now on.
  void release();

 private:
  bool make();

  PyRef state_;           // what both callables are bound to
  PyRef start_response_;  // in arguments_ too
  PyRef write_;
  PyRef arguments_;  // (environ, start_response)
};

}  // namespace appd::gateway
