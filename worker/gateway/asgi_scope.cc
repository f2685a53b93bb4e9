// A template is copied for each request; what differs is set.
#include "worker/gateway/asgi_scope.h"

#include "worker/engine/origin.h"
#include "worker/http/charset.h"
#include "worker/http/percent.h"

namespace appd::gateway {
namespace {

constexpr std::size_t kMaxCachedNames = 1024;  // clients choose header names

PyRef bytes_of(std::string_view text) {
  return PyRef::steal(PyBytes_FromStringAndSize(text.data(), static_cast<Py_ssize_t>(text.size())));
}

PyRef text_of(std::string_view text) {
  return PyRef::steal(
      PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), "replace"));
}

bool put(PyObject* dict, const PyRef& key, const PyRef& value) {
  return value && PyDict_SetItem(dict, key.get(), value.get()) == 0;
}

bool put(PyObject* dict, const char* key, const PyRef& value) {
  return value && PyDict_SetItemString(dict, key, value.get()) == 0;
}

// A client's address, made once for each connection.
struct ClientName : engine::Attachment {
  PyRef name;
};

PyRef address_pair(std::string_view address, std::uint16_t port) {
  if (address.empty()) return PyRef::borrow(Py_None);  // a unix socket
  return PyRef::steal(
      Py_BuildValue("(s#i)", address.data(), static_cast<Py_ssize_t>(address.size()), int{port}));
}

PyRef make_template(const engine::Peer& name, const char* type, const std::string& root_path,
                    const PyRef& extensions) {
  PyRef dict = PyRef::steal(PyDict_New());
  PyRef asgi = PyRef::steal(Py_BuildValue("{ssss}", "version", "3.0", "spec_version", "2.4"));
  bool is_http = std::string_view(type) == "http";
  bool complete = dict && put(dict.get(), "type", text_of(type)) && put(dict.get(), "asgi", asgi) &&
                  put(dict.get(), "http_version", text_of("1.1")) &&
                  put(dict.get(), "server", address_pair(name.address, name.port)) &&
                  put(dict.get(), "scheme", text_of(is_http ? "http" : "ws")) &&
                  put(dict.get(), "root_path", text_of(root_path)) &&
                  put(dict.get(), "extensions", extensions) &&
                  (!is_http || put(dict.get(), "method", text_of("GET"))) &&
                  put(dict.get(), "query_string", bytes_of(""));
  // The keys that every request replaces are in the table already.
  for (const char* key : {"client", "path", "raw_path", "headers", "state"}) {
    complete = complete && PyDict_SetItemString(dict.get(), key, Py_None) == 0;
  }
  return complete ? std::move(dict) : PyRef();
}

}  // namespace

bool AsgiScope::prepare(const std::vector<engine::Peer>& names, const std::string& root_path) {
  auto intern = [](PyRef& to, const char* text) {
    to = PyRef::steal(PyUnicode_InternFromString(text));
    return static_cast<bool>(to);
  };
  root_path_ = root_path;
  empty_bytes_ = bytes_of("");
  slash_bytes_ = bytes_of("/");
  bool interned = intern(method_key_, "method") && intern(path_key_, "path") &&
                  intern(raw_path_key_, "raw_path") && intern(query_key_, "query_string") &&
                  intern(headers_key_, "headers") && intern(client_key_, "client") &&
                  intern(version_key_, "http_version") && intern(state_key_, "state") &&
                  intern(subprotocols_key_, "subprotocols") && intern(scheme_key_, "scheme") &&
                  intern(get_, "GET") && intern(post_, "POST") && intern(version_1_0_, "1.0") &&
                  intern(slash_, "/") && empty_bytes_ && slash_bytes_;
  PyRef http_extensions =
      PyRef::steal(Py_BuildValue("{s{}s{}s{}}", "http.response.pathsend", "http.response.trailers",
                                 "http.response.early_hint"));
  PyRef websocket_extensions = PyRef::steal(Py_BuildValue("{s{}}", "websocket.http.response"));
  if (!interned || !http_extensions || !websocket_extensions) return false;
  for (const engine::Peer& name : names) {
    http_templates_.push_back(make_template(name, "http", root_path, http_extensions));
    websocket_templates_.push_back(
        make_template(name, "websocket", root_path, websocket_extensions));
    if (!http_templates_.back() || !websocket_templates_.back()) return false;
  }
  return true;
}

PyRef AsgiScope::http(engine::Exchange& exchange) {
  const http::RequestHead& head = exchange.request();
  PyRef scope = build(exchange, http_templates_);
  if (!scope || head.method == "GET") return scope;
  PyRef method = head.method == "POST" ? PyRef::borrow(post_.get()) : text_of(head.method);
  return put(scope.get(), method_key_, method) ? std::move(scope) : PyRef();
}

PyRef AsgiScope::websocket(engine::Exchange& exchange,
                           const std::vector<std::string_view>& subprotocols) {
  PyRef scope = build(exchange, websocket_templates_);
  PyRef list = PyRef::steal(PyList_New(0));
  for (std::string_view subprotocol : subprotocols) {
    PyRef name = text_of(subprotocol);
    if (!list || !name || PyList_Append(list.get(), name.get()) < 0) return {};
  }
  return scope && put(scope.get(), subprotocols_key_, list) ? std::move(scope) : PyRef();
}

PyRef AsgiScope::build(engine::Exchange& exchange, const std::vector<PyRef>& templates) {
  engine::Connection& connection = exchange.connection();
  const http::RequestHead& head = exchange.request();
  PyRef scope = PyRef::steal(PyDict_Copy(templates[connection.listener()].get()));
  PyObject* client = client_of(connection);
  if (!scope || client == nullptr || PyDict_SetItem(scope.get(), client_key_.get(), client) < 0 ||
      !put_target(scope.get(), head) || !put_headers(scope.get(), head)) {
    return {};
  }
  bool is_websocket = &templates == &websocket_templates_;
  if (head.forwarded && !put_origin(scope.get(), exchange, is_websocket)) return {};
  if (head.http_1_0 && !put(scope.get(), version_key_, version_1_0_)) return {};
  if (state_) {
    if (!put(scope.get(), state_key_, PyRef::steal(PyDict_Copy(state_.get())))) return {};
  } else if (PyDict_DelItem(scope.get(), state_key_.get()) < 0) {
    return {};
  }
  return scope;
}

// Borrowed; nullptr with an exception set.
PyObject* AsgiScope::client_of(engine::Connection& connection) {
  auto* kept = static_cast<ClientName*>(connection.attachment().get());
  if (kept != nullptr) return kept->name.get();
  auto made = std::make_unique<ClientName>();
  made->name = address_pair(connection.peer().address, connection.peer().port);
  PyObject* name = made->name.get();
  connection.attachment() = std::move(made);
  return name;
}

bool AsgiScope::put_origin(PyObject* scope, engine::Exchange& exchange, bool is_websocket) {
  engine::Origin origin = engine::origin_of(exchange.connection(), exchange.request());
  const char* secure = is_websocket ? "wss" : "https";
  return put(scope, client_key_, address_pair(origin.address, origin.port)) &&
         (!origin.secure || put(scope, scheme_key_, text_of(secure)));
}

bool AsgiScope::put_target(PyObject* scope, const http::RequestHead& head) {
  if (!head.query.empty() && !put(scope, query_key_, bytes_of(head.query))) return false;
  if (head.path == "/" && root_path_.empty()) {
    return put(scope, path_key_, slash_) && put(scope, raw_path_key_, slash_bytes_);
  }
  // As uvicorn: the proxy has taken the prefix away, the app wants to see it.
  std::string path = root_path_;
  path += head.path;
  return put(scope, raw_path_key_, bytes_of(path)) &&
         put(scope, path_key_, text_of(http::percent_decoded(path)));
}

// Borrowed, from the cache or from `uncached`; nullptr with an exception set.
PyObject* AsgiScope::name_for(std::string_view name, PyRef& uncached) {
  auto cached = names_.find(std::string(name));
  if (cached != names_.end()) return cached->second.get();
  std::string lowered;
  for (char c : name) lowered += http::lower(c);
  uncached = bytes_of(lowered);
  if (uncached && names_.size() < kMaxCachedNames) {
    names_.emplace(name, PyRef::borrow(uncached.get()));
  }
  return uncached.get();
}

bool AsgiScope::put_headers(PyObject* scope, const http::RequestHead& head) {
  PyRef list = PyRef::steal(PyList_New(static_cast<Py_ssize_t>(head.fields.size())));
  if (!list) return false;
  Py_ssize_t at = 0;
  for (const http::Field& field : head.fields) {
    PyRef uncached;
    PyObject* name = name_for(field.name, uncached);
    PyRef value = bytes_of(field.value);
    PyRef pair = PyRef::steal(name && value ? PyTuple_Pack(2, name, value.get()) : nullptr);
    if (!pair || PyList_SetItem(list.get(), at++, pair.release()) < 0) return false;
  }
  return put(scope, headers_key_, list);
}

}  // namespace appd::gateway
