// Beginning requests, and what all of them share.
#include "worker/gateway/asgi.h"

#include <utility>

#include "worker/gateway/asgi_call.h"
#include "worker/gateway/asgi_socket.h"
#include "worker/gateway/report.h"
#include "worker/net/log_line.h"

namespace appd::gateway {
namespace {

constexpr const char* kAsgiCapsule = "appd_worker.Asgi";

}  // namespace

bool Asgi::Words::make() {
  auto intern = [](PyRef& to, const char* word) {
    to = PyRef::steal(PyUnicode_InternFromString(word));
    return static_cast<bool>(to);
  };
  request_empty = PyRef::steal(Py_BuildValue("{sssy#sO}", "type", "http.request", "body", "",
                                             Py_ssize_t{0}, "more_body", Py_False));
  disconnect = PyRef::steal(Py_BuildValue("{ss}", "type", "http.disconnect"));
  websocket_receive = PyRef::steal(Py_BuildValue("{ss}", "type", "websocket.receive"));
  PyRef asyncio = PyRef::steal(PyImport_ImportModule("asyncio"));
  if (!asyncio) return false;
  cancelled_error = PyRef::steal(PyObject_GetAttrString(asyncio.get(), "CancelledError"));
  return intern(type, "type") && intern(body, "body") && intern(more_body, "more_body") &&
         intern(status, "status") && intern(headers, "headers") && intern(trailers, "trailers") &&
         intern(more_trailers, "more_trailers") && intern(bytes, "bytes") && intern(text, "text") &&
         intern(code, "code") && intern(reason, "reason") && intern(subprotocol, "subprotocol") &&
         intern(path, "path") && intern(links, "links") && request_empty && disconnect &&
         websocket_receive && cancelled_error && client_disconnected() != nullptr;
}

bool Asgi::prepare(PyObject* loop, PyObject* state, const std::vector<engine::Peer>& names,
                   const std::string& root_path) {
  PyRef types = PyRef::steal(PyImport_ImportModule("types"));
  if (!types) return false;
  coroutine_type_ = PyRef::steal(PyObject_GetAttrString(types.get(), "CoroutineType"));
  loop_ = PyRef::borrow(loop);
  static PyMethodDef release = {"release", release_entry, METH_NOARGS, "Sends what was held."};
  PyRef capsule = PyRef::steal(PyCapsule_New(this, kAsgiCapsule, nullptr));
  if (!capsule) return false;
  release_function_ = PyRef::steal(PyCFunction_NewEx(&release, capsule.get(), nullptr));
  call_soon_ = PyRef::steal(PyObject_GetAttrString(loop, "call_soon"));
  if (!release_function_ || !call_soon_) return false;
  if (state != Py_None) scope_.set_state(PyRef::borrow(state));
  return coroutine_type_ && words_.make() && driver_.prepare(loop) &&
         scope_.prepare(names, root_path);
}

void Asgi::start(engine::Exchange& exchange, engine::Lane& lane) {
  bool is_ours = exchange.request().asks_upgrade && !app_has_websockets_;
  if (is_ours && start_websocket(exchange, lane)) return;
  PyRef self;
  if (spare_calls_.empty()) {
    self = AsgiChannel::wrap(std::make_unique<AsgiCall>(*this));
  } else {
    self = std::move(spare_calls_.back());
    spare_calls_.pop_back();
  }
  if (!self) {
    report_exception(worker_, &exchange);
    exchange.fail(500);
    host_.finish(exchange);
    return;
  }
  auto& call = static_cast<AsgiCall&>(AsgiChannel::of(self.get()));
  call.begin(exchange, std::move(self));
}

// False: it is an ordinary request.
bool Asgi::start_websocket(engine::Exchange& exchange, engine::Lane& lane) {
  exchange.keep_head(lane);
  http::WebSocketHandshake handshake;
  http::Refusal refusal;
  switch (http::read_websocket_handshake(exchange.request(), handshake, refusal)) {
    case http::UpgradeVerdict::None:
      return false;
    case http::UpgradeVerdict::Refused:
      exchange.refuse(refusal);
      host_.finish(exchange);
      return true;
    case http::UpgradeVerdict::WebSocket:
      break;
  }
  PyRef self = AsgiChannel::wrap(std::make_unique<AsgiSocket>(*this));
  if (!self) {
    report_exception(worker_, &exchange);
    exchange.fail(500);
    host_.finish(exchange);
    return true;
  }
  auto& socket = static_cast<AsgiSocket&>(AsgiChannel::of(self.get()));
  socket.begin(exchange, std::move(self), std::move(handshake));
  return true;
}

void Asgi::release_soon(AsgiCall& call) {
  held_.push_back(call);
  if (std::exchange(release_planned_, true)) return;
  PyRef planned = PyRef::steal(
      PyObject_CallFunctionObjArgs(call_soon_.get(), release_function_.get(), nullptr));
  if (planned) return;
  report_exception(worker_, nullptr);
  release_held();
}

PyObject* Asgi::release_entry(PyObject* self, PyObject*) {
  static_cast<Asgi*>(PyCapsule_GetPointer(self, kAsgiCapsule))->release_held();
  Py_INCREF(Py_None);
  return Py_None;
}

void Asgi::release_held() {
  release_planned_ = false;
  while (AsgiCall* call = held_.pop_front()) call->release();
}

void Asgi::drain() {
  static PyMethodDef entry = {"send_away", send_away_entry, METH_NOARGS, "The window is over."};
  PyRef self = PyRef::steal(PyCapsule_New(this, kAsgiCapsule, nullptr));
  PyRef function = PyRef::steal(self ? PyCFunction_NewEx(&entry, self.get(), nullptr) : nullptr);
  double seconds = host_.engine().settings().websocket_drain_ms / 1000.0;
  PyRef later = PyRef::steal(
      function ? PyObject_CallMethod(loop_.get(), "call_later", "dO", seconds, function.get())
               : nullptr);
  if (!later) report_exception(worker_, nullptr);
}

PyObject* Asgi::send_away_entry(PyObject* self, PyObject*) {
  static_cast<Asgi*>(PyCapsule_GetPointer(self, kAsgiCapsule))->send_sockets_away();
  Py_INCREF(Py_None);
  return Py_None;
}

void Asgi::send_sockets_away() {
  window_over_ = true;
  while (AsgiSocket* socket = sockets_.front()) socket->send_away();
  if (!app_has_websockets_) return;
  PyRef sent = PyRef::steal(PyObject_CallMethod(app_.get(), "send_away", nullptr));
  if (!sent) report_exception(worker_, nullptr);
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
