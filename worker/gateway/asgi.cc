// Beginning requests, and what all of them share.
#include "worker/gateway/asgi.h"

#include "worker/gateway/asgi_call.h"
#include "worker/gateway/report.h"
#include "worker/net/log_line.h"

namespace appd::gateway {

bool Asgi::Words::make() {
  auto intern = [](PyRef& to, const char* text) {
    to = PyRef::steal(PyUnicode_InternFromString(text));
    return static_cast<bool>(to);
  };
  request_empty = PyRef::steal(Py_BuildValue("{sssy#sO}", "type", "http.request", "body", "",
                                             Py_ssize_t{0}, "more_body", Py_False));
  disconnect = PyRef::steal(Py_BuildValue("{ss}", "type", "http.disconnect"));
  return intern(type, "type") && intern(body, "body") && intern(more_body, "more_body") &&
         intern(status, "status") && intern(headers, "headers") && intern(trailers, "trailers") &&
         intern(more_trailers, "more_trailers") && request_empty && disconnect;
}

bool Asgi::prepare(PyObject* loop, PyObject* state, const std::vector<engine::Peer>& names,
                   const std::string& root_path) {
  PyRef types = PyRef::steal(PyImport_ImportModule("types"));
  if (!types) return false;
  coroutine_type_ = PyRef::steal(PyObject_GetAttrString(types.get(), "CoroutineType"));
  if (state != Py_None) scope_.set_state(PyRef::borrow(state));
  return coroutine_type_ && words_.make() && driver_.prepare(loop) &&
         scope_.prepare(names, root_path);
}

void Asgi::start(engine::Exchange& exchange, engine::Lane&) {
  PyRef self =
      spare_call_ ? std::move(spare_call_) : AsgiChannel::wrap(std::make_unique<AsgiCall>(*this));
  if (!self) {
    report_exception(worker_, &exchange);
    exchange.fail(500);
    host_.finish(exchange);
    return;
  }
  auto& call = static_cast<AsgiCall&>(AsgiChannel::of(self.get()));
  call.begin(exchange, std::move(self));
}

PyRef Asgi::as_coroutine(PyRef returned) const {
  if (reinterpret_cast<PyObject*>(Py_TYPE(returned.get())) == coroutine_type_.get()) {
    return returned;
  }
  PyRef coroutine = PyRef::steal(PyObject_CallMethod(returned.get(), "__await__", nullptr));
  if (!coroutine) {
    PyErr_Clear();
    PyErr_Format(PyExc_TypeError, "an ASGI app must return an awaitable, not %R",
                 Py_TYPE(returned.get()));
  }
  return coroutine;
}

void Asgi::report_incomplete(const engine::Exchange& exchange) const {
  net::LogLine("error", "asgi_response_incomplete")
      .add("worker", worker_)
      .add("method", exchange.request().method)
      .add("path", exchange.request().target);
}

}  // namespace appd::gateway
