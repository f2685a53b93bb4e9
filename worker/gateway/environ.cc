// A template is copied for each request; only what differs from it is set.
#include "worker/gateway/environ.h"

#include <cstring>

#include "worker/engine/origin.h"
#include "worker/gateway/early_hints.h"
#include "worker/gateway/empty_input.h"
#include "worker/gateway/file_wrapper.h"
#include "worker/http/charset.h"
#include "worker/http/percent.h"

namespace appd::gateway {
namespace {

constexpr std::size_t kMaxCachedKeys = 1024;  // clients choose header names

PyRef latin1(std::string_view text) {
  return PyRef::steal(
      PyUnicode_DecodeLatin1(text.data(), static_cast<Py_ssize_t>(text.size()), nullptr));
}

// What follows `root`, if the path is `root` or below it; else the path.
std::string_view below(std::string_view root, std::string_view path) {
  if (!path.starts_with(root)) return path;
  std::string_view rest = path.substr(root.size());
  return rest.empty() || rest.starts_with('/') ? rest : path;
}

bool put(PyObject* dict, const PyRef& key, PyObject* value) {
  return value != nullptr && PyDict_SetItem(dict, key.get(), value) == 0;
}

bool put_text(PyObject* dict, const char* key, const char* value) {
  PyRef text = PyRef::steal(PyUnicode_InternFromString(value));
  return text && PyDict_SetItemString(dict, key, text.get()) == 0;
}

PyRef attribute_of(const char* module, const char* name) {
  PyRef imported = PyRef::steal(PyImport_ImportModule(module));
  return imported ? PyRef::steal(PyObject_GetAttrString(imported.get(), name)) : PyRef();
}

// A connection's own template: its listener's, the peer, and what the last request line said, as
// clients often ask for the same again.
struct ConnectionTemplate : engine::Attachment {
  PyRef dict;
  PyRef early_hints;  // in the dict too
  std::uint64_t edition = 0;
  std::string method = "GET";
  std::string target;
  std::string host;  // empty: there is none in the dict
  bool http_1_0 = false;
};

ConnectionTemplate* template_of(const engine::Connection& connection) {
  return static_cast<ConnectionTemplate*>(connection.attachment().get());
}

long size_of(PyObject* object) {
  PyRef size = PyRef::steal(PyObject_CallMethod(object, "__sizeof__", nullptr));
  return size ? PyLong_AsLong(size.get()) : -1;
}

// The table of a dict grows when it is full, and a copy is made with the table's size. So it is
// made to grow here, once, and not by the first headers of every request.
bool make_room(PyObject* dict) {
  long before = size_of(dict);
  int spare = 0;
  for (; before > 0 && size_of(dict) == before; ++spare) {
    if (PyDict_SetItemString(dict, std::to_string(spare).c_str(), Py_None) < 0) return false;
  }
  while (spare > 0) {
    if (PyDict_DelItemString(dict, std::to_string(--spare).c_str()) < 0) return false;
  }
  return before > 0;
}

PyRef make_template(const engine::Peer& name, const std::string& root_path) {
  PyRef dict = PyRef::steal(PyDict_New());
  if (!dict) return dict;
  PyRef version = PyRef::steal(Py_BuildValue("(ii)", 1, 0));
  PyRef script_name = latin1(root_path);
  PyObject* wrapper = file_wrapper_type();
  // Borrowed; sys.stderr may be None when an app has closed it.
  PyObject* errors = PySys_GetObject("stderr");
  const char* host = name.address.empty() ? "localhost" : name.address.c_str();
  std::string port = std::to_string(name.port == 0 ? 80 : name.port);
  bool complete = version && script_name && wrapper != nullptr && errors != nullptr &&
                  put_text(dict.get(), "REQUEST_METHOD", "GET") &&
                  PyDict_SetItemString(dict.get(), "SCRIPT_NAME", script_name.get()) == 0 &&
                  put_text(dict.get(), "QUERY_STRING", "") &&
                  put_text(dict.get(), "SERVER_NAME", host) &&
                  put_text(dict.get(), "SERVER_PORT", port.c_str()) &&
                  put_text(dict.get(), "SERVER_PROTOCOL", "HTTP/1.1") &&
                  put_text(dict.get(), "SERVER_SOFTWARE", "appd") &&
                  put_text(dict.get(), "wsgi.url_scheme", "http") &&
                  PyDict_SetItemString(dict.get(), "wsgi.version", version.get()) == 0 &&
                  PyDict_SetItemString(dict.get(), "wsgi.errors", errors) == 0 &&
                  PyDict_SetItemString(dict.get(), "wsgi.file_wrapper", wrapper) == 0 &&
                  PyDict_SetItemString(dict.get(), "wsgi.multiprocess", Py_True) == 0 &&
                  PyDict_SetItemString(dict.get(), "wsgi.run_once", Py_False) == 0;
  return complete ? std::move(dict) : PyRef();
}

}  // namespace

bool EnvironBuilder::prepare(const std::vector<engine::Peer>& names, bool multithread,
                             std::string_view root_path) {
  while (root_path.ends_with('/')) root_path.remove_suffix(1);
  root_path_ = root_path;
  auto intern = [](PyRef& to, const char* text) {
    to = PyRef::steal(PyUnicode_InternFromString(text));
    return static_cast<bool>(to);
  };
  bool interned =
      intern(request_method_, "REQUEST_METHOD") && intern(path_info_, "PATH_INFO") &&
      intern(query_string_, "QUERY_STRING") && intern(raw_uri_, "RAW_URI") &&
      intern(request_uri_, "REQUEST_URI") && intern(server_protocol_, "SERVER_PROTOCOL") &&
      intern(remote_addr_, "REMOTE_ADDR") && intern(remote_port_, "REMOTE_PORT") &&
      intern(content_length_, "CONTENT_LENGTH") && intern(http_host_, "HTTP_HOST") &&
      intern(transfer_encoding_, "HTTP_TRANSFER_ENCODING") && intern(input_, "wsgi.input") &&
      intern(early_hints_, "wsgi.early_hints") && intern(url_scheme_, "wsgi.url_scheme") &&
      intern(http_, "http") && intern(https_, "https") && intern(http_1_0_, "HTTP/1.0") &&
      intern(http_1_1_, "HTTP/1.1");
  if (!interned) return false;
  empty_input_ = PyRef::steal(make_empty_input());
  bytes_io_ = attribute_of("io", "BytesIO");
  open_ = attribute_of("io", "open");
  if (!empty_input_ || !bytes_io_ || !open_) return false;
  for (const engine::Peer& name : names) {
    PyRef made = make_template(name, root_path_);
    if (!made) return false;
    // What every request sets is in already, and replaced.
    for (const PyRef* key : {&input_, &early_hints_, &path_info_, &raw_uri_, &request_uri_,
                             &remote_addr_, &remote_port_}) {
      if (!put(made.get(), *key, empty_input_.get())) return false;
    }
    if (!make_room(made.get())) return false;
    templates_.push_back(std::move(made));
  }
  return set_multithread(multithread);
}

bool EnvironBuilder::set_multithread(bool multithread) {
  ++edition_;
  for (const PyRef& made : templates_) {
    PyObject* value = multithread ? Py_True : Py_False;
    if (PyDict_SetItemString(made.get(), "wsgi.multithread", value) < 0) return false;
  }
  return true;
}

PyRef EnvironBuilder::build(engine::Exchange& exchange) {
  const http::RequestHead& head = exchange.request();
  PyObject* prepared = template_for(exchange.connection(), head);
  PyRef environ = PyRef::steal(prepared == nullptr ? nullptr : PyDict_Copy(prepared));
  if (!environ || !put_headers(environ.get(), head) || !put_body(environ.get(), exchange) ||
      (head.forwarded && !put_origin(environ.get(), exchange))) {
    return {};
  }
  bind_early_hints(template_of(exchange.connection())->early_hints.get(), &exchange);
  return environ;
}

void EnvironBuilder::release(engine::Exchange& exchange) {
  ConnectionTemplate* kept = template_of(exchange.connection());
  if (kept == nullptr) return;
  bind_early_hints(kept->early_hints.get(), nullptr);
  // Held here and by the dict; by the app too, and it must not work for a later request.
  if (Py_REFCNT(kept->early_hints.get()) != 2) exchange.connection().attachment().reset();
}

bool EnvironBuilder::put_origin(PyObject* environ, engine::Exchange& exchange) {
  engine::Origin origin = engine::origin_of(exchange.connection(), exchange.request());
  PyRef address = latin1(origin.address);
  PyRef port = latin1(std::to_string(origin.port));
  return put(environ, remote_addr_, address.get()) && put(environ, remote_port_, port.get()) &&
         put(environ, url_scheme_, origin.secure ? https_.get() : http_.get());
}

bool EnvironBuilder::put_method(PyObject* dict, const http::RequestHead& head) {
  PyRef method = latin1(head.method);
  return put(dict, request_method_, method.get()) &&
         put(dict, server_protocol_, head.http_1_0 ? http_1_0_.get() : http_1_1_.get());
}

// Of an absolute target, else of the field (RFC 9112 §3.2.2).
bool EnvironBuilder::put_host(PyObject* dict, std::string_view host) {
  if (host.empty()) {
    if (PyDict_DelItem(dict, http_host_.get()) < 0) PyErr_Clear();
    return true;
  }
  PyRef value = latin1(host);
  return put(dict, http_host_, value.get());
}

bool EnvironBuilder::put_target(PyObject* dict, const http::RequestHead& head) {
  PyRef target = latin1(head.target);
  PyRef query = latin1(head.query);
  if (!put(dict, raw_uri_, target.get()) || !put(dict, request_uri_, target.get()) ||
      !put(dict, query_string_, query.get())) {
    return false;
  }
  std::string decoded;
  std::string_view path = head.path;
  if (path.find('%') != std::string_view::npos) path = decoded = http::percent_decoded(path);
  PyRef path_info = latin1(below(root_path_, path));
  return put(dict, path_info_, path_info.get());
}

// Borrowed; nullptr with an exception set.
PyObject* EnvironBuilder::template_for(engine::Connection& connection,
                                       const http::RequestHead& head) {
  ConnectionTemplate* kept = template_of(connection);
  if (kept == nullptr || kept->edition != edition_) {
    auto made = std::make_unique<ConnectionTemplate>();
    made->edition = edition_;
    made->dict = PyRef::steal(PyDict_Copy(templates_[connection.listener()].get()));
    PyRef address = latin1(connection.peer().address);
    PyRef port = latin1(std::to_string(connection.peer().port));
    made->early_hints = make_early_hints();
    if (!made->dict || !put(made->dict.get(), remote_addr_, address.get()) ||
        !put(made->dict.get(), remote_port_, port.get()) ||
        !put(made->dict.get(), early_hints_, made->early_hints.get())) {
      return nullptr;
    }
    kept = made.get();
    connection.attachment() = std::move(made);
  }
  PyObject* dict = kept->dict.get();
  if (head.target != kept->target) {
    kept->target.clear();  // until all of it is in
    if (!put_target(dict, head)) return nullptr;
    kept->target = head.target;
  }
  if (head.host != kept->host) {
    kept->host.clear();
    if (!put_host(dict, head.host)) return nullptr;
    kept->host = head.host;
  }
  if (head.method != kept->method || head.http_1_0 != kept->http_1_0) {
    if (!put_method(dict, head)) return nullptr;
    kept->method = head.method;
    kept->http_1_0 = head.http_1_0;
  }
  return dict;
}

// Of the length, the first and the last four bytes: names differ in these.
std::size_t EnvironBuilder::NameHash::operator()(std::string_view name) const {
  std::uint32_t first = 0;
  std::uint32_t last = 0;
  if (name.size() >= sizeof(first)) {
    std::memcpy(&first, name.data(), sizeof(first));
    std::memcpy(&last, name.data() + name.size() - sizeof(last), sizeof(last));
  }
  return (name.size() + first) * 0x9e3779b97f4a7c15U + last;
}

// Borrowed, from the cache or from `uncached`. Py_None for a name with an underscore: such fields
// are dropped, as nginx does, because they would look like those with a hyphen. nullptr with an
// exception set.
PyObject* EnvironBuilder::key_for(std::string_view name, PyRef& uncached) {
  if (auto cached = header_keys_.find(name); cached != header_keys_.end()) {
    return cached->second.get();
  }
  std::string key;
  if (!http::equals_ignoring_case(name, "content-type") &&
      !http::equals_ignoring_case(name, "content-length")) {
    key = "HTTP_";
  }
  for (char c : name) {
    key += c == '-' ? '_' : (c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c);
  }
  uncached = name.find('_') == std::string_view::npos
                 ? PyRef::steal(PyUnicode_InternFromString(key.c_str()))
                 : PyRef::borrow(Py_None);
  if (uncached && header_keys_.size() < kMaxCachedKeys) {
    header_keys_.emplace(name, PyRef::borrow(uncached.get()));
  }
  return uncached.get();
}

bool EnvironBuilder::put_headers(PyObject* environ, const http::RequestHead& head) {
  Py_ssize_t expected = PyDict_Size(environ);
  for (const http::Field& field : head.fields) {
    // In the template already.
    if (field.name.size() == 4 && http::equals_ignoring_case(field.name, "host")) continue;
    PyRef uncached;
    PyObject* key = key_for(field.name, uncached);
    if (key == Py_None) continue;
    PyRef value = latin1(field.value);
    if (key == nullptr || !value || PyDict_SetItem(environ, key, value.get()) < 0) return false;
    ++expected;
  }
  // Fewer entries than fields: a name came twice.
  return PyDict_Size(environ) == expected || join_repeated(environ, head);
}

bool EnvironBuilder::join_repeated(PyObject* environ, const http::RequestHead& head) {
  std::vector<PyRef> keys;
  for (const http::Field& field : head.fields) {
    PyRef uncached;
    PyObject* key = key_for(field.name, uncached);
    if (key == nullptr) return false;
    keys.push_back(key == Py_None ? PyRef() : PyRef::borrow(key));
  }
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (!keys[i]) continue;
    std::string_view separator =
        http::equals_ignoring_case(head.fields[i].name, "cookie") ? "; " : ", ";
    std::string joined(head.fields[i].value);
    bool repeated = false;
    for (std::size_t j = i + 1; j < keys.size(); ++j) {
      if (!keys[j] || PyUnicode_Compare(keys[i].get(), keys[j].get()) != 0) continue;
      joined.append(separator).append(head.fields[j].value);
      keys[j].reset();  // has gone into the first of its name
      repeated = true;
    }
    PyRef value = repeated ? latin1(joined) : PyRef();
    if (repeated && !put(environ, keys[i], value.get())) return false;
  }
  return true;
}

bool EnvironBuilder::put_body(PyObject* environ, engine::Exchange& exchange) {
  engine::RequestBody& body = exchange.body();
  if (exchange.request().body == http::BodyKind::Chunked) {
    // The body is whole and decoded: say its length, as there is no framing left to tell.
    PyRef length = latin1(std::to_string(body.size()));
    if (!put(environ, content_length_, length.get())) return false;
    if (PyDict_DelItem(environ, transfer_encoding_.get()) < 0) PyErr_Clear();
  }
  if (body.size() == 0) return true;
  PyRef input;
  if (body.in_file()) {
    UniqueFd file = body.release_file();
    input = PyRef::steal(PyObject_CallFunction(open_.get(), "is", file.get(), "rb"));
    if (input) (void)file.release();  // the Python file closes it
  } else {
    std::string_view bytes = body.memory();
    input = PyRef::steal(PyObject_CallFunction(bytes_io_.get(), "y#", bytes.data(),
                                               static_cast<Py_ssize_t>(bytes.size())));
  }
  return put(environ, input_, input.get());
}

}  // namespace appd::gateway
