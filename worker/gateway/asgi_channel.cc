// The awaitables of receive() and send(), and what every channel does alike.
#include "worker/gateway/asgi_channel.h"

#include <utility>

#include "worker/gateway/asgi.h"
#include "worker/gateway/report.h"
#include "worker/http/charset.h"

namespace appd::gateway {
namespace {

struct Object {
  PyObject_HEAD AsgiChannel* channel;
};

void deallocate(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);
  delete reinterpret_cast<Object*>(self)->channel;
  PyObject_Free(self);
  Py_DECREF(type);
}

PyObject* detach_entry(PyObject* self, PyObject*) {
  return AsgiChannel::of(self).detach().release();
}

PyMethodDef methods[] = {
    {"detach", detach_entry, METH_NOARGS, "The client's socket: (descriptor, bytes, hold)"},
    {nullptr, nullptr, 0, nullptr},
};
PyType_Slot slots[] = {
    {Py_tp_methods, methods},
    {Py_tp_dealloc, reinterpret_cast<void*>(deallocate)},
    {0, nullptr},
};
PyType_Spec spec = {"appd_worker.AsgiChannel", sizeof(Object), 0, Py_TPFLAGS_DEFAULT, slots};

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
      StepEnd end = attempt(AsgiChannel::of(self_.get()), result);
      if (end != StepEnd::Yielded) return ended(end);
      PyRef change = AsgiChannel::of(self_.get()).next_change();
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
  virtual StepEnd attempt(AsgiChannel& channel, PyRef& result) = 0;

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
  StepEnd attempt(AsgiChannel& channel, PyRef& result) override { return channel.receive(result); }
};

class Sending final : public Operation {
 public:
  Sending(PyObject* self, PyObject* message) : Operation(self), message_(PyRef::borrow(message)) {}

 private:
  StepEnd attempt(AsgiChannel& channel, PyRef& result) override {
    if (!message_) return channel.await_room(result);
    PyRef message = std::move(message_);
    return channel.send(message.get(), result);
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

// A list, made of any iterable.
PyRef as_list(PyObject* iterable) {
  return PyList_CheckExact(iterable) ? PyRef::borrow(iterable)
                                     : PyRef::steal(PySequence_List(iterable));
}

}  // namespace

AsgiChannel& AsgiChannel::of(PyObject* self) { return *reinterpret_cast<Object*>(self)->channel; }

PyRef AsgiChannel::wrap(std::unique_ptr<AsgiChannel> channel) {
  static PyObject* type = PyType_FromSpec(&spec);
  if (type == nullptr) return {};
  PyRef self = PyRef::steal(PyType_GenericAlloc(reinterpret_cast<PyTypeObject*>(type), 0));
  if (!self) return self;
  AsgiChannel* made = channel.release();
  reinterpret_cast<Object*>(self.get())->channel = made;
  made->receive_ = PyRef::steal(PyCFunction_NewEx(&receive_method, self.get(), nullptr));
  made->send_ = PyRef::steal(PyCFunction_NewEx(&send_method, self.get(), nullptr));
  return made->receive_ && made->send_ ? std::move(self) : PyRef();
}

bool AsgiChannel::run_app(PyRef scope) {
  in_first_step_ = true;
  PyRef coroutine;
  if (scope) {
    coroutine = PyRef::steal(PyObject_CallFunctionObjArgs(asgi_.app_.get(), scope.get(),
                                                          receive_.get(), send_.get(), nullptr));
  }
  scope.reset();
  if (coroutine) coroutine = asgi_.as_coroutine(std::move(coroutine));
  if (!coroutine) {
    on_end(true);
    return true;
  }
  if (asgi_.driver_.run(std::move(coroutine), *this)) return true;
  in_first_step_ = false;
  task_ = PyRef::borrow(asgi_.driver_.taken());
  return false;
}

void AsgiChannel::cancel() {
  overdue_ = true;
  PyRef task = PyRef::borrow(task_.get());
  PyRef done = PyRef::steal(task ? PyObject_CallMethod(task.get(), "cancel", nullptr) : nullptr);
  if (!done) report_exception(asgi_.worker_, nullptr);
}

bool AsgiChannel::is_cancelled() const {
  if (!overdue_) return false;
  PyObject* disconnected = client_disconnected();
  return PyErr_ExceptionMatches(asgi_.words_.cancelled_error.get()) != 0 ||
         (disconnected != nullptr && PyErr_ExceptionMatches(disconnected) != 0);
}

PyRef AsgiChannel::next_change() {
  PyRef future = asgi_.driver_.make_future();
  if (future) waiting_.push_back(PyRef::borrow(future.get()));
  return future;
}

void AsgiChannel::wake_all() {
  std::vector<PyRef> waiting = std::exchange(waiting_, {});
  for (const PyRef& future : waiting) wake(future.get());
}

StepEnd AsgiChannel::await_room(PyRef& result) {
  result = PyRef::borrow(Py_None);
  // A client that has closed its side alone may still read, and slowly.
  bool full =
      exchange_ != nullptr && !exchange_->unreachable() && exchange_->pending() > kHighWater;
  return full ? StepEnd::Yielded : StepEnd::Returned;
}

PyRef AsgiChannel::detach() {
  PyErr_SetString(PyExc_RuntimeError, "a WebSocket cannot be detached");
  return {};
}

PyRef AsgiChannel::leave(bool use_again) {
  waiting_.clear();
  task_.reset();
  overdue_ = false;
  PyRef self = std::move(self_);
  bool ours =
      Py_REFCNT(self.get()) == 3 && Py_REFCNT(receive_.get()) == 1 && Py_REFCNT(send_.get()) == 1;
  if (ours && use_again) return self;
  // They hold us. What the app has kept of them goes on to do so.
  receive_.reset();
  send_.reset();
  return {};
}

PyObject* client_disconnected() {
  static PyObject* type =
      PyErr_NewException("appd_worker.ClientDisconnected", PyExc_OSError, nullptr);
  return type;
}

bool is_word(PyObject* text, const char* word) {
  return PyUnicode_CompareWithASCIIString(text, word) == 0;
}

PyObject* type_of(PyObject* message, const PyRef& key) {
  PyObject* type =
      PyDict_Check(message) != 0 ? PyDict_GetItemWithError(message, key.get()) : nullptr;
  if (type != nullptr && PyUnicode_Check(type) != 0) return type;
  PyErr_Format(PyExc_TypeError, "send() takes a dict with a 'type', not %R", message);
  return nullptr;
}

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

bool is_true(PyObject* message, const PyRef& key) {
  PyObject* value = PyDict_GetItemWithError(message, key.get());
  return value != nullptr && PyObject_IsTrue(value) == 1;
}

bool each_header(PyObject* headers, void* to, AddHeader add) {
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
    if (!add(to, name_bytes, value_bytes)) {
      PyErr_Format(PyExc_ValueError, "response header %R: %R is no number, or comes twice",
                   name.get(), value.get());
      return false;
    }
  }
  return true;
}

}  // namespace appd::gateway
