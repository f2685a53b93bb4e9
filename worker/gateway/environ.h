// Environ: the dictionary that PEP 3333 wants for each request, built from prepared parts.
//
// A body always comes with CONTENT_LENGTH, chunked ones too, because it is complete before the app
// is called. So wsgi.input_terminated is not set (docs/decisions/006-no-input-terminated.md).
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "worker/engine/connection.h"
#include "worker/gateway/python.h"

namespace appd::gateway {

// Owns the prepared objects. Under the interpreter's lock; shared by all serving threads.
class EnvironBuilder {
 public:
  // `names`: what each listener is bound to. `root_path`: SCRIPT_NAME of every request; where a
  // path begins with it, PATH_INFO is what follows, else a proxy has taken it off before. False
  // with an exception set.
  bool prepare(const std::vector<engine::Peer>& names, bool multithread,
               std::string_view root_path);
  // wsgi.multithread of the requests from now on.
  bool set_multithread(bool multithread);

  // A fresh dict; empty with an exception set.
  PyRef build(engine::Exchange& exchange);
  // The request is over and the dict dropped: callables that the app has kept raise from now on.
  void release(engine::Exchange& exchange);

 private:
  // Cheap, and enough to spread the few hundred names that there are.
  struct NameHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view name) const;
  };
  // A header's key in the dict. Content-Type and Content-Length have no HTTP_ before them.
  PyObject* key_for(std::string_view header_name, PyRef& uncached);
  PyObject* template_for(engine::Connection& connection, const http::RequestHead& head);
  bool put_method(PyObject* dict, const http::RequestHead& head);
  bool put_host(PyObject* dict, std::string_view host);
  bool put_target(PyObject* dict, const http::RequestHead& head);
  bool put_origin(PyObject* environ, engine::Exchange& exchange);
  bool put_headers(PyObject* environ, const http::RequestHead& head);
  bool put_body(PyObject* environ, engine::Exchange& exchange);
  bool join_repeated(PyObject* environ, const http::RequestHead& head);

  std::vector<PyRef> templates_;  // one for each listener
  std::uint64_t edition_ = 0;     // of the templates
  std::string root_path_;         // without a slash at its end
  std::unordered_map<std::string, PyRef, NameHash, std::equal_to<>> header_keys_;
  PyRef empty_input_;
  PyRef bytes_io_;  // io.BytesIO
  PyRef open_;      // io.open
  PyRef request_method_, path_info_, query_string_, raw_uri_, request_uri_, server_protocol_,
      remote_addr_, remote_port_, content_length_, http_host_, transfer_encoding_, input_,
      early_hints_, url_scheme_;
  PyRef http_1_0_, http_1_1_, http_, https_;
};

}  // namespace appd::gateway
