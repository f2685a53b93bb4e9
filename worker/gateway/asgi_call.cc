// What an app receives and sends, message by message (ASGI 3.0, HTTP specification 2.4).
#include "worker/gateway/asgi_call.h"

#include <utility>

#include "worker/gateway/report.h"
#include "worker/http/charset.h"
#include "worker/http/status.h"

namespace appd::gateway {
namespace {

struct Object {
  PyObject_HEAD AsgiCall* call;
};

void deallocate(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);
  delete reinterpret_cast<Object*>(self)->call;
  PyObject_Free(self);
  Py_DECREF(type);
}

PyType_Slot slots[] = {
    {Py_tp_dealloc, reinterpret_cast<void*>(deallocate)},
    {0, nullptr},
};
PyType_Spec spec = {"appd_worker.AsgiCall", sizeof(Object), 0, Py_TPFLAGS_DEFAULT, slots};

// What `await receive()` and `await send(message)` run: an attempt, and while that has no result a
// wait for the next change of the request.
class Operation : public Steps {
 public:
  explicit Operation(PyObject* self) : self_(PyRef::borrow(self)) {}

  StepEnd step(PyObject* value, PyRef& result) override {
    if (over_) {
      PyErr_SetString(PyExc_RuntimeError, "cannot reuse already awaited coroutine");
      return StepEnd::Raised;
    }
    for (;;) {
      if (future_) {
        StepEnd end = send_into(future_.get(), value, result);
        if (end == StepEnd::Yielded) return end;
        future_.reset();
        if (end == StepEnd::Raised) return ended(end);
        value = Py_None;
      }
      StepEnd end = attempt(AsgiCall::of(self_.get()), result);
      if (end != StepEnd::Yielded) return ended(end);
      PyRef change = AsgiCall::of(self_.get()).next_change();
      future_ = PyRef::steal(change ? PyObject_GetIter(change.get()) : nullptr);
      if (!future_) return ended(StepEnd::Raised);
    }
  }

  StepEnd raise(PyObject* arguments, PyRef& result) override {
    if (!future_) {
      set_thrown(arguments);
      return ended(StepEnd::Raised);
    }
    StepEnd end = raise_into(future_.get(), arguments, result);
    return end == StepEnd::Yielded ? end : ended(end);
  }

 protected:
  virtual StepEnd attempt(AsgiCall& call, PyRef& result) = 0;

 private:
  StepEnd ended(StepEnd end) {
    over_ = true;
    future_.reset();
    return end;
  }

  PyRef self_;
  PyRef future_;  // its iterator
  bool over_ = false;
};

class Receiving final : public Operation {
 public:
  using Operation::Operation;

 private:
  StepEnd attempt(AsgiCall& call, PyRef& result) override { return call.receive(result); }
};

class Sending final : public Operation {
 public:
  Sending(PyObject* self, PyObject* message) : Operation(self), message_(PyRef::borrow(message)) {}

 private:
  StepEnd attempt(AsgiCall& call, PyRef& result) override {
    if (!message_) return call.await_room(result);
    PyRef message = std::move(message_);
    return call.send(message.get(), result);
  }

  PyRef message_;  // until it was sent
};

PyObject* receive_entry(PyObject* self, PyObject*) {
  return make_awaitable(std::make_unique<Receiving>(self)).release();
}

PyObject* send_entry(PyObject* self, PyObject* message) {
  return make_awaitable(std::make_unique<Sending>(self, message)).release();
}

PyMethodDef receive_method = {"receive", receive_entry, METH_NOARGS, "await receive()"};
PyMethodDef send_method = {"send", send_entry, METH_O, "await send(message)"};

bool as_bytes(PyObject* object, const char* what, std::string_view& bytes) {
  char* data = nullptr;
  Py_ssize_t size = 0;
  if (PyBytes_Check(object) != 0) {
    if (PyBytes_AsStringAndSize(object, &data, &size) < 0) return false;
    bytes = {data, static_cast<std::size_t>(size)};
    return true;
  }
  PyErr_Format(PyExc_TypeError, "%s must be bytes, not %R", what, Py_TYPE(object));
  return false;
}

// A list, made of any iterable.
PyRef as_list(PyObject* iterable) {
  return PyList_CheckExact(iterable) ? PyRef::borrow(iterable)
                                     : PyRef::steal(PySequence_List(iterable));
}

bool is_true(PyObject* message, const PyRef& key) {
  PyObject* value = PyDict_GetItemWithError(message, key.get());
  return value != nullptr && PyObject_IsTrue(value) == 1;
}

// Calls `add(name, value)` for each of the message's headers. False with an exception set.
template <typename Add>
bool each_header(PyObject* headers, Add add) {
  PyRef list = as_list(headers);
  if (!list) return false;
  for (Py_ssize_t i = 0; i < PyList_Size(list.get()); ++i) {
    PyRef pair = PyRef::borrow(PyList_GetItem(list.get(), i));
    PyRef name = PyRef::steal(PySequence_GetItem(pair.get(), 0));
    PyRef value = PyRef::steal(name ? PySequence_GetItem(pair.get(), 1) : nullptr);
    std::string_view name_bytes;
    std::string_view value_bytes;
    if (!value || !as_bytes(name.get(), "a header's name", name_bytes) ||
        !as_bytes(value.get(), "a header's value", value_bytes)) {
      return false;
    }
    if (!http::is_token(name_bytes) || !http::all_in(value_bytes, http::kFieldValue)) {
      PyErr_Format(PyExc_ValueError,
                   "response header %R: %R has a character that must not be there", name.get(),
                   value.get());
      return false;
    }
    if (!add(name_bytes, value_bytes)) {
      PyErr_Format(PyExc_ValueError, "response header %R: %R is no number, or comes twice",
                   name.get(), value.get());
      return false;
    }
  }
  return true;
}

}  // namespace

AsgiCall& AsgiCall::of(PyObject* self) { return *reinterpret_cast<Object*>(self)->call; }

PyRef AsgiCall::make(Asgi& asgi) {
  static PyObject* type = PyType_FromSpec(&spec);
  if (type == nullptr) return {};
  PyRef self = PyRef::steal(PyType_GenericAlloc(reinterpret_cast<PyTypeObject*>(type), 0));
  if (!self) return self;
  auto* call = new AsgiCall(asgi);
  reinterpret_cast<Object*>(self.get())->call = call;
  call->receive_ = PyRef::steal(PyCFunction_NewEx(&receive_method, self.get(), nullptr));
  call->send_ = PyRef::steal(PyCFunction_NewEx(&send_method, self.get(), nullptr));
  return call->receive_ && call->send_ ? std::move(self) : PyRef();
}

void AsgiCall::begin(engine::Exchange& exchange, PyRef self) {
  self_ = std::move(self);
  exchange_ = &exchange;
  body_told_ = answered_ = trailers_wanted_ = false;
  in_first_step_ = true;
  exchange.observe(this);
  PyRef scope = asgi_.scope_.http(exchange);
  PyRef coroutine =
      PyRef::steal(scope ? PyObject_CallFunctionObjArgs(asgi_.app_.get(), scope.get(),
                                                        receive_.get(), send_.get(), nullptr)
                         : nullptr);
  scope.reset();
  if (!coroutine) {
    on_end(true);
    return;
  }
  coroutine = asgi_.as_coroutine(std::move(coroutine));
  if (!coroutine) {
    on_end(true);
    return;
  }
  if (asgi_.driver_.run(std::move(coroutine), *this)) return;  // we may be gone
  in_first_step_ = false;
  if (exchange_ != nullptr) {
    exchange_->keep_head(asgi_.host_.lane());  // the lane will belong to another request
  } else {
    asgi_.host_.hold();
  }
}

// Nobody but us holds the object and its callables; `self_` has been moved to the caller.
bool AsgiCall::only_ours(const PyRef& self) const {
  return Py_REFCNT(self.get()) == 3 && Py_REFCNT(receive_.get()) == 1 &&
         Py_REFCNT(send_.get()) == 1;
}

PyRef AsgiCall::next_change() {
  PyRef future = asgi_.driver_.make_future();
  if (future) waiting_.push_back(PyRef::borrow(future.get()));
  return future;
}

void AsgiCall::wake_all() {
  std::vector<PyRef> waiting = std::exchange(waiting_, {});
  for (const PyRef& future : waiting) wake(future.get());
}

void AsgiCall::on_change() {
  if (!waiting_.empty()) wake_all();
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
  PyObject* type = PyDict_Check(message) != 0
                       ? PyDict_GetItemWithError(message, asgi_.words_.type.get())
                       : nullptr;
  if (type == nullptr || PyUnicode_Check(type) == 0) {
    PyErr_Format(PyExc_TypeError, "send() takes a dict with a 'type', not %R", message);
    return StepEnd::Raised;
  }
  auto is = [type](const char* name) { return PyUnicode_CompareWithASCIIString(type, name) == 0; };
  if (answered_) {
    PyErr_Format(PyExc_RuntimeError, "%R after the response was complete", type);
    return StepEnd::Raised;
  }
  // The client has gone: what is sent from now on has no effect, as the specification wants it.
  if (exchange_ == nullptr || exchange_->gone()) return StepEnd::Returned;
  if (is("http.response.body")) return take_body(message, result);
  if (is("http.response.start")) {
    return take_start(message) ? StepEnd::Returned : StepEnd::Raised;
  }
  if (is("http.response.trailers")) {
    return take_trailers(message) ? StepEnd::Returned : StepEnd::Raised;
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
  bool taken = headers == nullptr ||
               each_header(headers, [&](std::string_view name, std::string_view value) {
                 return response.add(name, value);
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
  exchange_->send(bytes);
  return await_room(result);
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
  bool taken = headers == nullptr ||
               each_header(headers, [&](std::string_view name, std::string_view value) {
                 fields.append(name);
                 fields.append(": ");
                 fields.append(value);
                 fields.append("\r\n");
                 return true;
               });
  if (!taken) return false;
  exchange_->add_trailers(fields.view());
  if (is_true(message, words.more_trailers)) return true;
  exchange_->end();
  complete();
  return true;
}

StepEnd AsgiCall::await_room(PyRef& result) {
  result = PyRef::borrow(Py_None);
  bool full = exchange_ != nullptr && !exchange_->gone() && !exchange_->client_ended() &&
              exchange_->pending() > kHighWater;
  return full ? StepEnd::Yielded : StepEnd::Returned;
}

// The answer is complete: the connection goes on, whatever the app still does.
void AsgiCall::complete() {
  answered_ = true;
  report_length(asgi_.worker_, *exchange_);
  if (!in_first_step_) asgi_.host_.hold();
  finish();
  wake_all();  // receive() tells them
}

void AsgiCall::finish() {
  engine::Exchange* exchange = std::exchange(exchange_, nullptr);
  if (exchange != nullptr) asgi_.host_.finish(*exchange);
}

void AsgiCall::on_end(bool raised) {
  bool held = answered_ && !in_first_step_;
  if (raised) report_exception(asgi_.worker_, exchange_);
  if (exchange_ != nullptr) {
    if (!raised && !exchange_->client_ended()) asgi_.report_incomplete(*exchange_);
    exchange_->fail(500);
    finish();
  }
  if (held) asgi_.host_.release();
  waiting_.clear();
  PyRef self = std::move(self_);
  if (only_ours(self)) {
    asgi_.spare_call_ = std::move(self);
  } else {
    // The app has kept a callable: it keeps us, and nothing of ours does.
    receive_.reset();
    send_.reset();
  }
}

}  // namespace appd::gateway
