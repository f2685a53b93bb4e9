// AsgiScope: the `scope` of each request (ASGI 3.0, HTTP and WebSocket specification 2.4), built
// from prepared parts.
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "worker/engine/connection.h"
#include "worker/gateway/python.h"

namespace appd::gateway {

// Owns the prepared objects. Under the interpreter's lock.
class AsgiScope {
 public:
  // `names`: what each listener is bound to. `root_path` has no slash at its end. False with an
  // exception set.
  bool prepare(const std::vector<engine::Peer>& names, const std::string& root_path);
  // What the lifespan has put into its state: each request gets a shallow copy.
  void set_state(PyRef state) { state_ = std::move(state); }
  // A fresh dict; empty with an exception set.
  PyRef http(engine::Exchange& exchange);
  PyRef websocket(engine::Exchange& exchange, const std::vector<std::string_view>& subprotocols);

 private:
  PyRef build(engine::Exchange& exchange, const std::vector<PyRef>& templates);
  bool put_origin(PyObject* scope, engine::Exchange& exchange, bool is_websocket);
  bool put_headers(PyObject* scope, const http::RequestHead& head);
  bool put_target(PyObject* scope, const http::RequestHead& head);
  PyObject* client_of(engine::Connection& connection);
  PyObject* name_for(std::string_view name, PyRef& uncached);

  std::vector<PyRef> http_templates_, websocket_templates_;  // one for each listener
  std::unordered_map<std::string, PyRef> names_;             // header names as bytes, in lower case
  std::string root_path_;
  PyRef state_;
  PyRef method_key_, path_key_, raw_path_key_, query_key_, headers_key_, client_key_, version_key_,
      state_key_, subprotocols_key_, scheme_key_;
  PyRef get_, post_, version_1_0_, empty_bytes_, slash_, slash_bytes_;
};

}  // namespace appd::gateway
