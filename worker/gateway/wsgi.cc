// Calling the app, sending what it returns, and what to do when it raises.
#include "worker/gateway/wsgi.h"

#include <limits>

#include "worker/gateway/file_wrapper.h"
#include "worker/gateway/report.h"

namespace appd::gateway {
namespace {

bool as_chunk(PyObject* object, std::string_view& chunk) {
  char* bytes = nullptr;
  Py_ssize_t size = 0;
  if (PyBytes_AsStringAndSize(object, &bytes, &size) < 0) {
    PyErr_Format(PyExc_TypeError, "a WSGI app must yield bytes, not %R", Py_TYPE(object));
    return false;
  }
  chunk = {bytes, static_cast<std::size_t>(size)};
  return true;
}

bool require_started(const engine::Exchange& exchange, const http::ResponseHead& response) {
  if (response.started() || exchange.head_sent()) return true;
  PyErr_SetString(PyExc_AssertionError, "the app has sent a body without start_response()");
  return false;
}

}  // namespace

void Wsgi::serve(engine::Exchange& exchange, StartResponse& start_response) {
  PyRef result = call_app(exchange, start_response);
  if (!result) {
    fail(exchange);
  } else {
    if (!send_result(exchange, result.get())) fail(exchange);
    close(exchange, result.get());
    result.reset();
  }
  start_response.release();
  environs_.release(exchange);
  report_length(worker_, exchange);
}

PyRef Wsgi::call_app(engine::Exchange& exchange, StartResponse& start_response) {
  PyRef environ = environs_.build(exchange);
  if (!environ) return {};
  PyObject* arguments = start_response.bind(exchange, std::move(environ));
  if (arguments == nullptr) return {};
  return PyRef::steal(PyObject_Call(app_.get(), arguments, nullptr));
}

// False with an exception set. A client that is gone is no exception.
bool Wsgi::send_result(engine::Exchange& exchange, PyObject* result) {
  if (PyList_CheckExact(result)) return send_sequence(exchange, result, true);
  if (PyTuple_CheckExact(result)) return send_sequence(exchange, result, false);
  if (is_file_wrapper(result)) return send_file(exchange, result);
  return send_iterable(exchange, result);
}

bool Wsgi::send_file(engine::Exchange& exchange, PyObject* result) {
  if (!require_started(exchange, exchange.response())) return false;
  if (!exchange.head_sent()) {
    if (auto file = file_behind(result)) {
      exchange.send_file(std::move(*file));
      return true;
    }
  }
  // "… until the end is reached, or until Content-Length bytes have been written" (PEP 3333)
  constexpr std::uint64_t kToItsEnd = std::numeric_limits<std::uint64_t>::max();
  std::uint64_t left = exchange.response().content_length().value_or(kToItsEnd);
  while (left > 0) {
    PyRef block = PyRef::steal(PyIter_Next(result));
    if (!block && PyErr_Occurred() != nullptr) return false;
    if (!block) break;
    std::string_view chunk;
    if (!as_chunk(block.get(), chunk)) return false;
    chunk = chunk.substr(0, left);
    left -= chunk.size();
    if (!send_chunk(exchange, chunk)) return true;
  }
  exchange.end();
  return true;
}

bool Wsgi::send_sequence(engine::Exchange& exchange, PyObject* result, bool is_list) {
  if (!require_started(exchange, exchange.response())) return false;
  // A list may change while a thread waits for room; its size is asked for each time.
  for (Py_ssize_t i = 0; i < (is_list ? PyList_Size(result) : PyTuple_Size(result)); ++i) {
    PyRef item = PyRef::borrow(is_list ? PyList_GetItem(result, i) : PyTuple_GetItem(result, i));
    std::string_view chunk;
    if (!as_chunk(item.get(), chunk)) return false;
    bool only = i == 0 && (is_list ? PyList_Size(result) : PyTuple_Size(result)) == 1;
    if (only && !exchange.head_sent()) {
      exchange.send_whole(chunk);
      return true;
    }
    if (!chunk.empty() && !send_chunk(exchange, chunk)) return true;
  }
  exchange.end();
  return true;
}

bool Wsgi::send_iterable(engine::Exchange& exchange, PyObject* result) {
  PyRef iterator = PyRef::steal(PyObject_GetIter(result));
  if (!iterator) return false;
  while (PyRef item = PyRef::steal(PyIter_Next(iterator.get()))) {
    std::string_view chunk;
    if (!require_started(exchange, exchange.response()) || !as_chunk(item.get(), chunk)) {
      return false;
    }
    // The head waits for the first byte: until then the app may still change its mind.
    if (!chunk.empty() && !send_chunk(exchange, chunk)) return true;
  }
  if (PyErr_Occurred() != nullptr || !require_started(exchange, exchange.response())) return false;
  exchange.end();
  return true;
}

void Wsgi::close(engine::Exchange& exchange, PyObject* result) {
  if (PyList_CheckExact(result) || PyTuple_CheckExact(result)) return;  // they have none
  PyRef method = PyRef::steal(PyObject_GetAttrString(result, "close"));
  if (!method) {
    PyErr_Clear();
    return;
  }
  PyRef closed = PyRef::steal(PyObject_CallObject(method.get(), nullptr));
  if (!closed) report_exception(worker_, &exchange);
}

void Wsgi::fail(engine::Exchange& exchange) {
  PyObject* ours = exchange.overdue() ? request_timeout() : nullptr;
  if (ours != nullptr && PyErr_ExceptionMatches(ours) != 0) {
    PyErr_Clear();
  } else {
    report_exception(worker_, &exchange);
  }
  exchange.fail(500);
}

}  // namespace appd::gateway
