// PEP 3333's start_response: checks everything before any byte can reach the wire.
#include "worker/gateway/start_response.h"

#include <cstring>

#include "worker/http/charset.h"
#include "worker/net/log_line.h"

namespace appd::gateway {
namespace {

// What the callables are bound to. `exchange` is null between requests.
struct State {
  PyObject_HEAD engine::Exchange* exchange;
  PyObject* write;  // borrowed: StartResponse owns it
};

// A str of latin-1 characters as bytes. The view lives as long as the str and this object.
class Latin1 {
 public:
  enum class Verdict { Good, BadCharacter, Raised };

  // Good: every character is of this class.
  Verdict read(PyObject* text, http::CharClass wanted) {
    Py_ssize_t size = 0;
    const char* utf8 = PyUnicode_AsUTF8AndSize(text, &size);
    if (utf8 != nullptr) {
      view_ = {utf8, static_cast<std::size_t>(size)};
      // ASCII, as nearly always: these are the bytes.
      if (http::all_in(view_, wanted | http::kAscii)) return Verdict::Good;
    }
    return read_encoded(text, wanted);
  }
  std::string_view view() const { return view_; }

 private:
  Verdict read_encoded(PyObject* text, http::CharClass wanted) {
    PyErr_Clear();
    encoded_ = PyRef::steal(PyUnicode_AsLatin1String(text));
    char* bytes = nullptr;
    Py_ssize_t size = 0;
    if (!encoded_ || PyBytes_AsStringAndSize(encoded_.get(), &bytes, &size) < 0) {
      return Verdict::Raised;
    }
    view_ = {bytes, static_cast<std::size_t>(size)};
    return http::all_in(view_, wanted) ? Verdict::Good : Verdict::BadCharacter;
  }

  std::string_view view_;
  PyRef encoded_;
};

// Always false, with an exception set.
[[gnu::cold]] bool refuse_part(Latin1::Verdict verdict, PyObject* text, const char* what) {
  if (verdict == Latin1::Verdict::BadCharacter) {
    PyErr_Format(PyExc_ValueError,
                 "response header has a character in its %s %R that must not be there", what, text);
  } else if (!PyUnicode_Check(text)) {
    PyErr_Format(PyExc_TypeError, "a response header's %s must be a str, not %R", what,
                 Py_TYPE(text));
  }
  return false;
}

// Reads one half of a header. False with an exception set.
inline bool read_part(Latin1& part, PyObject* text, http::CharClass wanted, const char* what) {
  Latin1::Verdict verdict = part.read(text, wanted);
  return verdict == Latin1::Verdict::Good || refuse_part(verdict, text, what);
}

bool fill(http::ResponseHead& response, PyObject* status, PyObject* headers) {
  Latin1 text;
  if (text.read(status, http::kFieldValue) != Latin1::Verdict::Good ||
      !http::is_status(text.view()) || text.view()[0] == '1') {
    PyErr_Clear();
    PyErr_Format(PyExc_ValueError, "response status %R is not '200 OK' or the like", status);
    return false;
  }
  if (!PyList_Check(headers)) {
    PyErr_Format(PyExc_TypeError, "response headers must be a list, not %R", Py_TYPE(headers));
    return false;
  }
  response.start(text.view());
  for (Py_ssize_t i = 0; i < PyList_Size(headers); ++i) {
    PyRef pair = PyRef::borrow(PyList_GetItem(headers, i));
    if (!add_header(response, pair.get())) return false;
  }
  return true;
}

struct Arguments {
  PyObject* status = nullptr;
  PyObject* headers = nullptr;
  PyObject* exc_info = nullptr;
};

bool read_keyword(Arguments& arguments, PyObject* name, PyObject* value) {
  if (PyUnicode_CompareWithASCIIString(name, "status") == 0) {
    arguments.status = value;
  } else if (PyUnicode_CompareWithASCIIString(name, "response_headers") == 0 ||
             PyUnicode_CompareWithASCIIString(name, "headers") == 0) {
    arguments.headers = value;
  } else if (PyUnicode_CompareWithASCIIString(name, "exc_info") == 0) {
    arguments.exc_info = value;
  } else {
    PyErr_Format(PyExc_TypeError, "start_response() has no argument %R", name);
    return false;
  }
  return true;
}

bool read_arguments(Arguments& arguments, PyObject* const* args, Py_ssize_t count,
                    PyObject* keywords) {
  if (count > 0) arguments.status = args[0];
  if (count > 1) arguments.headers = args[1];
  if (count > 2) arguments.exc_info = args[2];
  Py_ssize_t named = keywords == nullptr ? 0 : PyTuple_Size(keywords);
  for (Py_ssize_t i = 0; i < named; ++i) {
    if (!read_keyword(arguments, PyTuple_GetItem(keywords, i), args[count + i])) return false;
  }
  if (count > 3 || arguments.status == nullptr || arguments.headers == nullptr) {
    PyErr_SetString(PyExc_TypeError,
                    "start_response() takes status, response_headers and exc_info");
    return false;
  }
  if (arguments.exc_info == Py_None) arguments.exc_info = nullptr;
  return true;
}

// The app answers anew because of an exception. Too late once the head is on the wire: then the
// exception itself is raised.
bool may_replace(const engine::Exchange& exchange, PyObject* exc_info) {
  if (!exchange.head_sent()) return true;
  PyObject* type = nullptr;
  PyObject* value = nullptr;
  PyObject* traceback = nullptr;
  if (!PyArg_ParseTuple(exc_info, "OOO", &type, &value, &traceback)) return false;
  Py_INCREF(type);
  Py_INCREF(value);
  if (traceback == Py_None) traceback = nullptr;
  Py_XINCREF(traceback);
  PyErr_Restore(type, value, traceback);
  return false;
}

engine::Exchange* exchange_of(PyObject* self) {
  engine::Exchange* exchange = reinterpret_cast<State*>(self)->exchange;
  if (exchange == nullptr) {
    PyErr_SetString(PyExc_RuntimeError, "the request is over, nothing can be sent any more");
  }
  return exchange;
}

PyObject* start_response(PyObject* self, PyObject* const* args, Py_ssize_t count,
                         PyObject* keywords) {
  engine::Exchange* exchange = exchange_of(self);
  Arguments arguments;
  if (exchange == nullptr || !read_arguments(arguments, args, count, keywords)) return nullptr;
  if (arguments.exc_info != nullptr) {
    if (!may_replace(*exchange, arguments.exc_info)) return nullptr;
  } else if (exchange->response().started()) {
    PyErr_SetString(PyExc_AssertionError, "start_response() called twice without exc_info");
    return nullptr;
  }
  if (!fill(exchange->response(), arguments.status, arguments.headers)) {
    exchange->response().clear();
    return nullptr;
  }
  PyObject* write = reinterpret_cast<State*>(self)->write;
  Py_INCREF(write);
  return write;
}

PyObject* write(PyObject* self, PyObject* chunk) {
  engine::Exchange* exchange = exchange_of(self);
  if (exchange == nullptr) return nullptr;
  char* bytes = nullptr;
  Py_ssize_t size = 0;
  if (PyBytes_AsStringAndSize(chunk, &bytes, &size) < 0) return nullptr;
  if (size > 0) send_chunk(*exchange, {bytes, static_cast<std::size_t>(size)});
  Py_INCREF(Py_None);
  return Py_None;
}

void deallocate(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);
  PyObject_Free(self);
  Py_DECREF(type);
}

PyMethodDef start_response_method = {
    "start_response", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(start_response)),
    METH_FASTCALL | METH_KEYWORDS, "start_response(status, response_headers, exc_info=None)"};
PyMethodDef write_method = {"write", write, METH_O, "write(bytes): PEP 3333's imperative way"};

PyType_Slot slots[] = {
    {Py_tp_dealloc, reinterpret_cast<void*>(deallocate)},
    {0, nullptr},
};
PyType_Spec spec = {"appd_worker.Answer", sizeof(State), 0, Py_TPFLAGS_DEFAULT, slots};

PyTypeObject* state_type() {
  static PyObject* type = PyType_FromSpec(&spec);
  return reinterpret_cast<PyTypeObject*>(type);
}

}  // namespace

bool add_header(http::ResponseHead& response, PyObject* pair) {
  if (!PyTuple_Check(pair) || PyTuple_Size(pair) != 2) {
    PyErr_Format(PyExc_TypeError, "a response header must be a (name, value) tuple, not %R", pair);
    return false;
  }
  Latin1 name;
  Latin1 value;
  if (!read_part(name, PyTuple_GetItem(pair, 0), http::kToken, "name") ||
      !read_part(value, PyTuple_GetItem(pair, 1), http::kFieldValue, "value")) {
    return false;
  }
  if (name.view().empty()) {
    PyErr_SetString(PyExc_ValueError, "a response header has no name");
    return false;
  }
  if (!response.add(name.view(), value.view())) {
    PyErr_Format(PyExc_ValueError, "response header Content-Length is not one number: %R",
                 PyTuple_GetItem(pair, 1));
    return false;
  }
  return true;
}

bool send_chunk(engine::Exchange& exchange, std::string_view chunk) {
  if (!exchange.send(chunk)) return false;
  if (exchange.congested() && exchange.in_event_loop()) {
    // To wait here would stop all others.
    net::LogLine("warn", "client_too_slow")
        .add("pending", static_cast<std::int64_t>(exchange.pending()));
    exchange.give_up();
    return false;
  }
  while (exchange.congested()) {
    {
      GilRelease release;
      exchange.await_room();
    }
    exchange.flush();
  }
  return !exchange.gone();
}

bool StartResponse::make() {
  PyTypeObject* type = state_type();
  if (type == nullptr) return false;
  state_ = PyRef::steal(PyType_GenericAlloc(type, 0));
  if (!state_) return false;
  start_response_ = PyRef::steal(PyCFunction_NewEx(&start_response_method, state_.get(), nullptr));
  write_ = PyRef::steal(PyCFunction_NewEx(&write_method, state_.get(), nullptr));
  arguments_ = PyRef::steal(PyTuple_New(2));
  if (!start_response_ || !write_ || !arguments_) return false;
  reinterpret_cast<State*>(state_.get())->write = write_.get();
  return PyTuple_SetItem(arguments_.get(), 1, start_response_.share()) == 0;
}

PyObject* StartResponse::bind(engine::Exchange& exchange, PyRef environ) {
  if (!arguments_ && !make()) {
    *this = StartResponse();
    return nullptr;
  }
  reinterpret_cast<State*>(state_.get())->exchange = &exchange;
  if (PyTuple_SetItem(arguments_.get(), 0, environ.release()) < 0) return nullptr;
  return arguments_.get();
}

void StartResponse::release() {
  if (!state_) return;
  reinterpret_cast<State*>(state_.get())->exchange = nullptr;
  // Ours are: the tuple; start_response here and in the tuple; write; the state here and in both
  // callables. Whatever the app holds beyond that must not work for a later request.
  bool kept = Py_REFCNT(arguments_.get()) != 1 || Py_REFCNT(start_response_.get()) != 2 ||
              Py_REFCNT(write_.get()) != 1 || Py_REFCNT(state_.get()) != 3;
  if (kept) {
    *this = StartResponse();
    return;
  }
  // The environ must not live on until the next request.
  Py_INCREF(Py_None);
  PyTuple_SetItem(arguments_.get(), 0, Py_None);
}

}  // namespace appd::gateway
