// Wsgi: answers one exchange by calling a WSGI app (PEP 3333).
#pragma once

#include <cstdint>

#include "worker/engine/exchange.h"
#include "worker/gateway/environ.h"
#include "worker/gateway/python.h"
#include "worker/gateway/start_response.h"

namespace appd::gateway {

// Owns the app and the environ's parts. Under the interpreter's lock; shared by serving threads.
class Wsgi {
 public:
  // `app` is a new reference.
  Wsgi(PyRef app, std::uint32_t worker) : app_(std::move(app)), worker_(worker) {}
  // As EnvironBuilder::prepare().
  bool prepare(const std::vector<engine::Peer>& listeners, bool multithread,
               std::string_view root_path) {
    return environs_.prepare(listeners, multithread, root_path);
  }
  bool set_multithread(bool multithread) { return environs_.set_multithread(multithread); }

  // Calls the app and sends its answer. Afterwards the exchange is ready for Engine::finish().
  // `start_response` is the serving thread's own.
  void serve(engine::Exchange& exchange, StartResponse& start_response);

 private:
  PyRef call_app(engine::Exchange& exchange, StartResponse& start_response);
  bool send_result(engine::Exchange& exchange, PyObject* result);
  bool send_sequence(engine::Exchange& exchange, PyObject* result, bool is_list);
  bool send_file(engine::Exchange& exchange, PyObject* result);
  bool send_iterable(engine::Exchange& exchange, PyObject* result);
  void close(engine::Exchange& exchange, PyObject* result);
  void fail(engine::Exchange& exchange);

  PyRef app_;
  std::uint32_t worker_;
  EnvironBuilder environs_;
};

}  // namespace appd::gateway
