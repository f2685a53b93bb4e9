// What an app receives and sends, message by message (ASGI 3.0, HTTP specification 2.4).
#include "worker/gateway/asgi_call.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <utility>

#include "worker/gateway/detached.h"
#include "worker/gateway/report.h"
#include "worker/http/charset.h"
#include "worker/http/status.h"

namespace appd::gateway {

void AsgiCall::begin(engine::Exchange& exchange, PyRef self) {
  self_ = std::move(self);
  exchange_ = &exchange;
  body_told_ = answered_ = trailers_wanted_ = false;
  exchange.observe(this);
  if (run_app(asgi_.scope_.http(exchange))) return;
  if (exchange_ != nullptr) {
    exchange_->keep_head(asgi_.host_.lane());  // the lane will belong to another request
    exchange_->release();
  } else {
    asgi_.host_.hold();
  }
}

void AsgiCall::on_change() { wake_all(); }

// The client is answered at once, whatever the app makes of it.
void AsgiCall::on_overdue() {
  if (exchange_ == nullptr || in_first_step_) return;
  report_overdue(asgi_.worker_, *exchange_);
  exchange_->fail(504);
  answered_ = true;
  asgi_.host_.hold();
  finish();
  cancel();
}

StepEnd AsgiCall::receive(PyRef& message) {
  using Progress = engine::Exchange::Progress;
  const Asgi::Words& words = asgi_.words_;
  if (exchange_ == nullptr) {
    message = PyRef::steal(PyDict_Copy(words.disconnect.get()));
    return message ? StepEnd::Returned : StepEnd::Raised;
  }
  if (!body_told_) {
    Progress progress = Progress::Complete;
    if (exchange_->body().size() == 0 && !exchange_->body_complete()) {
      progress = exchange_->read_body(asgi_.host_.lane());
    }
    if (progress == Progress::Waiting) return StepEnd::Yielded;
    if (progress != Progress::Ended) {
      message = body_message(!exchange_->body_complete());
      return message ? StepEnd::Returned : StepEnd::Raised;
    }
  } else if (!exchange_->client_ended()) {
    return StepEnd::Yielded;
  }
  message = PyRef::steal(PyDict_Copy(words.disconnect.get()));
  return message ? StepEnd::Returned : StepEnd::Raised;
}

PyRef AsgiCall::body_message(bool more) {
  const Asgi::Words& words = asgi_.words_;
  PyRef message = PyRef::steal(PyDict_Copy(words.request_empty.get()));
  body_told_ = !more;
  engine::RequestBody& body = exchange_->body();
  if (!message || body.size() == 0) return message;
  std::string_view bytes = body.memory();
  PyRef content =
      PyRef::steal(PyBytes_FromStringAndSize(bytes.data(), static_cast<Py_ssize_t>(bytes.size())));
  body.clear();
  if (!content || PyDict_SetItem(message.get(), words.body.get(), content.get()) < 0 ||
      (more && PyDict_SetItem(message.get(), words.more_body.get(), Py_True) < 0)) {
    return {};
  }
  return message;
}

StepEnd AsgiCall::send(PyObject* message, PyRef& result) {
  result = PyRef::borrow(Py_None);
  PyObject* type = type_of(message, asgi_.words_.type);
  if (type == nullptr) return StepEnd::Raised;
  if (answered_ && !overdue_) {
    PyErr_Format(PyExc_RuntimeError, "%R after the response was complete", type);
    return StepEnd::Raised;
  }
  if (exchange_ == nullptr || exchange_->unreachable()) {
    if (PyObject* disconnected = client_disconnected()) {
      PyErr_SetString(disconnected, "the client has gone");
    }
    return StepEnd::Raised;
  }
  if (is_word(type, "http.response.body")) return take_body(message, result);
  if (is_word(type, "http.response.start")) {
    return take_start(message) ? StepEnd::Returned : StepEnd::Raised;
  }
  if (is_word(type, "http.response.trailers")) {
    return take_trailers(message) ? StepEnd::Returned : StepEnd::Raised;
  }
  if (is_word(type, "http.response.pathsend")) {
    return take_path(message) ? StepEnd::Returned : StepEnd::Raised;
  }
  if (is_word(type, "http.response.early_hint")) {
    return take_early_hint(message) ? await_room(result) : StepEnd::Raised;
  }
  PyErr_Format(PyExc_RuntimeError, "unknown message type %R for an HTTP response", type);
  return StepEnd::Raised;
}

bool AsgiCall::take_start(PyObject* message) {
  const Asgi::Words& words = asgi_.words_;
  http::ResponseHead& response = exchange_->response();
  if (response.started()) {
    PyErr_SetString(PyExc_RuntimeError, "http.response.start was sent twice");
    return false;
  }
  PyObject* status = PyDict_GetItemWithError(message, words.status.get());
  if (status == nullptr) {
    PyErr_SetString(PyExc_KeyError, "http.response.start needs a 'status'");
    return false;
  }
  long code = PyLong_AsLong(status);
  if (code == -1 && PyErr_Occurred() != nullptr) return false;
  if (code < 200 || code > 599) {
    PyErr_Format(PyExc_ValueError, "response status must be from 200 to 599, not %ld", code);
    return false;
  }
  response.start(http::status_text(static_cast<int>(code)));
  trailers_wanted_ = is_true(message, words.trailers);
  PyObject* headers = PyDict_GetItemWithError(message, words.headers.get());
  bool taken =
      headers == nullptr ||
      each_header(headers, &response, [](void* to, std::string_view name, std::string_view value) {
        return static_cast<http::ResponseHead*>(to)->add(name, value);
      });
  if (!taken) response.clear();
  return taken;
}

StepEnd AsgiCall::take_body(PyObject* message, PyRef& result) {
  const Asgi::Words& words = asgi_.words_;
  if (!exchange_->response().started()) {
    PyErr_SetString(PyExc_RuntimeError, "http.response.body before http.response.start");
    return StepEnd::Raised;
  }
  std::string_view bytes;
  PyRef body = PyRef::borrow(PyDict_GetItemWithError(message, words.body.get()));
  PyRef copied;
  if (body && PyBytes_Check(body.get()) == 0) {  // a bytearray or a memoryview
    copied = PyRef::steal(PyBytes_FromObject(body.get()));
    if (!copied) return StepEnd::Raised;
    body = std::move(copied);
  }
  if (body && !as_bytes(body.get(), "'body'", bytes)) return StepEnd::Raised;
  bool more = is_true(message, words.more_body);
  if (!more && !trailers_wanted_) {
    if (exchange_->head_sent()) {
      exchange_->send(bytes);
      exchange_->end();
    } else {
      exchange_->send_whole(bytes);
    }
    complete();
    return StepEnd::Returned;
  }
  // What an app sends without waiting leaves as one piece.
  exchange_->hold();
  exchange_->send(bytes);
  if (!in_first_step_) asgi_.release_soon(*this);
  return await_room(result);
}

void AsgiCall::release() {
  if (exchange_ != nullptr) exchange_->release();
}

bool AsgiCall::take_trailers(PyObject* message) {
  const Asgi::Words& words = asgi_.words_;
  if (!trailers_wanted_) {
    PyErr_SetString(PyExc_RuntimeError,
                    "http.response.trailers, but http.response.start did not announce trailers");
    return false;
  }
  http::ByteBuffer fields;
  PyObject* headers = PyDict_GetItemWithError(message, words.headers.get());
  bool taken =
      headers == nullptr ||
      each_header(headers, &fields, [](void* to, std::string_view name, std::string_view value) {
        auto& text = *static_cast<http::ByteBuffer*>(to);
        for (std::string_view piece :
             {name, std::string_view(": "), value, std::string_view("\r\n")}) {
          text.append(piece);
        }
        return true;
      });
  if (!taken) return false;
  exchange_->add_trailers(fields.view());
  if (is_true(message, words.more_trailers)) return true;
  exchange_->end();
  complete();
  return true;
}

bool AsgiCall::take_path(PyObject* message) {
  if (!exchange_->response().started() || exchange_->head_sent()) {
    PyErr_SetString(PyExc_RuntimeError,
                    "http.response.pathsend comes right after http.response.start");
    return false;
  }
  PyObject* path = PyDict_GetItemWithError(message, asgi_.words_.path.get());
  PyObject* encoded = nullptr;
  if (path == nullptr || PyUnicode_FSConverter(path, &encoded) == 0) {
    if (PyErr_Occurred() == nullptr) PyErr_SetString(PyExc_KeyError, "path");
    return false;
  }
  PyRef name = PyRef::steal(encoded);
  // A FIFO would make us wait for its other end.
  UniqueFd file(::open(PyBytes_AsString(name.get()), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat status {};
  if (!file || ::fstat(file.get(), &status) < 0) {
    PyErr_SetFromErrnoWithFilenameObject(PyExc_OSError, path);
    return false;
  }
  if (!S_ISREG(status.st_mode)) {
    PyErr_Format(PyExc_ValueError, "%R is not a regular file", path);
    return false;
  }
  exchange_->send_file({std::move(file), 0, static_cast<std::uint64_t>(status.st_size)});
  complete();
  return true;
}

bool AsgiCall::take_early_hint(PyObject* message) {
  PyObject* links = PyDict_GetItemWithError(message, asgi_.words_.links.get());
  PyRef list = PyRef::steal(links == nullptr ? PyList_New(0) : PySequence_List(links));
  if (!list) return false;
  http::ResponseHead hints;
  hints.start(http::status_text(103));
  for (Py_ssize_t i = 0; i < PyList_Size(list.get()); ++i) {
    std::string_view link;
    if (!as_bytes(PyList_GetItem(list.get(), i), "a link", link)) return false;
    if (!http::all_in(link, http::kFieldValue)) {
      PyErr_SetString(PyExc_ValueError, "a link has a character that must not be there");
      return false;
    }
    hints.add("link", link);
  }
  exchange_->send_interim(hints);
  return true;
}

// What the app writes to the socket is the answer.
PyRef AsgiCall::detach() {
  if (exchange_ == nullptr || exchange_->unreachable()) {
    if (PyObject* disconnected = client_disconnected()) {
      PyErr_SetString(disconnected, "the client has gone");
    }
    return {};
  }
  if (exchange_->response().started() || exchange_->pending() > 0) {
    PyErr_SetString(PyExc_RuntimeError, "detach() comes before the response");
    return {};
  }
  if (!exchange_->body_complete()) {
    PyErr_SetString(PyExc_RuntimeError, "detach() comes after the request's body");
    return {};
  }
  PyRef parts = appd::gateway::detach(asgi_.host_, exchange_);
  if (exchange_ != nullptr) return parts;
  answered_ = true;
  if (!in_first_step_) asgi_.host_.hold();
  wake_all();
  return parts;
}

// The answer is complete: the connection goes on, whatever the app still does.
void AsgiCall::complete() {
  answered_ = true;
  report_length(asgi_.worker_, *exchange_);
  if (!in_first_step_) asgi_.host_.hold();
  finish();
  wake_all();  // receive() tells them
}

// The exception that is set is what send() has raised because the client has gone.
bool AsgiCall::is_disconnect() const {
  if (exchange_ == nullptr || !exchange_->unreachable()) return false;
  PyObject* disconnected = client_disconnected();
  return disconnected != nullptr && PyErr_ExceptionMatches(disconnected) != 0;
}

void AsgiCall::finish() {
  unlink();
  engine::Exchange* exchange = std::exchange(exchange_, nullptr);
  if (exchange != nullptr) asgi_.host_.finish(*exchange);
}

void AsgiCall::on_end(bool raised) {
  bool held = answered_ && !in_first_step_;
  if (raised && (is_disconnect() || is_cancelled())) {
    PyErr_Clear();  // ours, and no error of the app's
  } else if (raised) {
    report_exception(asgi_.worker_, exchange_);
  }
  if (exchange_ != nullptr) {
    if (!raised && !exchange_->client_ended()) asgi_.report_incomplete(*exchange_);
    exchange_->fail(500);
    finish();
  }
  if (held) asgi_.host_.release();
  Asgi& asgi = asgi_;
  PyRef self = leave(asgi.spare_calls_.size() < Asgi::kSpareCalls);
  if (self) asgi.spare_calls_.push_back(std::move(self));
}

}  // namespace appd::gateway
