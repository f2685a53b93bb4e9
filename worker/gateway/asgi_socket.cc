// The messages of a WebSocket, and what happens to one without the app: pings, pongs, closing.
#include "worker/gateway/asgi_socket.h"

#include <utility>

#include "worker/gateway/report.h"
#include "worker/http/charset.h"
#include "worker/http/status.h"

namespace appd::gateway {
namespace {

constexpr std::uint16_t kServiceRestart = 1012;  // IANA's registry of WebSocket close codes
constexpr std::uint16_t kAbnormal = 1006;        // RFC 6455 §7.4.1: the connection was lost
// What waits for the app until we stop to read.
constexpr std::size_t kQueueBytes = 64 * 1024;
constexpr std::size_t kQueueMessages = 32;

// A str as UTF-8; false with an exception set.
bool as_utf8(PyObject* object, const char* what, std::string_view& text) {
  Py_ssize_t size = 0;
  const char* data = nullptr;
  if (PyUnicode_Check(object) != 0) {
    data = PyUnicode_AsUTF8AndSize(object, &size);
  } else {
    PyErr_Format(PyExc_TypeError, "%s must be a str, not %R", what, Py_TYPE(object));
  }
  if (data == nullptr) return false;
  text = {data, static_cast<std::size_t>(size)};
  return true;
}

// A value of the message, borrowed; nullptr when it is missing or None.
PyObject* value_of(PyObject* message, const PyRef& key) {
  PyObject* value = PyDict_GetItemWithError(message, key.get());
  return value == Py_None ? nullptr : value;
}

struct AnswerFields {
  std::vector<std::pair<std::string, std::string>> owned;
};

}  // namespace

void AsgiSocket::begin(engine::Exchange& exchange, PyRef self, http::WebSocketHandshake handshake) {
  self_ = std::move(self);
  exchange_ = &exchange;
  handshake_ = std::move(handshake);
  if (!asgi_.host_.engine().settings().ws_per_message_deflate) handshake_.deflate.reset();
  exchange.observe(this);
  (void)run_app(asgi_.scope_.websocket(exchange, handshake_.subprotocols));
}

StepEnd AsgiSocket::receive(PyRef& message) {
  if (!std::exchange(connect_told_, true)) {
    message = PyRef::steal(Py_BuildValue("{ss}", "type", "websocket.connect"));
    return message ? StepEnd::Returned : StepEnd::Raised;
  }
  if (queue_.empty() && state_ == State::Open) read();
  if (!queue_.empty()) {
    message = std::move(queue_.front());
    queue_.pop_front();
    if (queue_.empty()) queued_ = 0;
    return StepEnd::Returned;
  }
  bool waits = state_ == State::Open ||
               (state_ != State::Closed && exchange_ != nullptr && !exchange_->client_ended());
  if (waits) return StepEnd::Yielded;
  message = disconnect_message();
  return message ? StepEnd::Returned : StepEnd::Raised;
}

PyRef AsgiSocket::disconnect_message() const {
  int code = state_ == State::Closed ? close_code_ : kAbnormal;
  return PyRef::steal(Py_BuildValue("{sssiss#}", "type", "websocket.disconnect", "code", code,
                                    "reason", close_reason_.data(),
                                    static_cast<Py_ssize_t>(close_reason_.size())));
}

StepEnd AsgiSocket::send(PyObject* message, PyRef& result) {
  result = PyRef::borrow(Py_None);
  PyObject* type = type_of(message, asgi_.words_.type);
  if (type == nullptr) return StepEnd::Raised;
  bool done = false;
  if (state_ == State::Closed || exchange_ == nullptr) {
    if (is_word(type, "websocket.close")) return StepEnd::Returned;
    if (PyObject* disconnected = client_disconnected()) {
      PyErr_Format(disconnected, "%R after the WebSocket was closed", type);
    }
    return StepEnd::Raised;
  }
  if (state_ == State::Open && is_word(type, "websocket.send")) {
    if (!take_message(message)) return StepEnd::Raised;
    return await_room(result);
  }
  if (state_ != State::Denying && is_word(type, "websocket.close")) {
    done = take_close(message);
  } else if (state_ == State::Connecting && is_word(type, "websocket.accept")) {
    done = take_accept(message);
  } else if (state_ == State::Connecting && is_word(type, "websocket.http.response.start")) {
    done = take_denial_start(message);
  } else if (state_ == State::Denying && is_word(type, "websocket.http.response.body")) {
    done = take_denial_body(message);
  } else {
    PyErr_Format(PyExc_RuntimeError, "message type %R does not fit a WebSocket in this state",
                 type);
  }
  return done ? StepEnd::Returned : StepEnd::Raised;
}

bool AsgiSocket::take_accept(PyObject* message) {
  const Asgi::Words& words = asgi_.words_;
  std::string_view subprotocol;
  if (PyObject* chosen = value_of(message, words.subprotocol)) {
    if (!as_utf8(chosen, "'subprotocol'", subprotocol)) return false;
    if (!http::is_token(subprotocol)) {
      PyErr_Format(PyExc_ValueError, "subprotocol %R is not a token", chosen);
      return false;
    }
  }
  AnswerFields fields;
  PyObject* headers = value_of(message, words.headers);
  bool taken =
      headers == nullptr ||
      each_header(headers, &fields, [](void* to, std::string_view name, std::string_view value) {
        static_cast<AnswerFields*>(to)->owned.emplace_back(name, value);
        return true;
      });
  if (!taken) return false;
  std::vector<http::Field> views;
  views.reserve(fields.owned.size());
  for (const auto& [name, value] : fields.owned) views.push_back({name, value});
  http::ByteBuffer& answer = http::write_websocket_answer(
      handshake_, subprotocol, views, asgi_.host_.engine().date_line(), exchange_->response());
  exchange_->send_raw(answer.view());
  decoder_ = http::WebSocketDecoder(handshake_.deflate);
  encoder_ = http::WebSocketEncoder(handshake_.deflate);
  handshake_ = {};
  state_ = State::Open;
  asgi_.host_.upgrade(*exchange_);
  asgi_.sockets_.push_back(*this);
  exchange_->await_ping();
  // Frames may have come with the handshake: they are seen before the next event.
  asgi_.host_.defer(*this);
  asgi_.host_.engine().wake();
  return true;
}

bool AsgiSocket::take_message(PyObject* message) {
  const Asgi::Words& words = asgi_.words_;
  http::ByteBuffer frame;
  std::string_view payload;
  auto kind = http::WebSocketEncoder::Kind::Binary;
  PyRef kept;
  if (PyObject* bytes = value_of(message, words.bytes)) {
    kept = PyRef::steal(PyBytes_FromObject(bytes));  // the same object, if it is bytes
    if (!kept || !as_bytes(kept.get(), "'bytes'", payload)) return false;
  } else if (PyObject* text = value_of(message, words.text)) {
    if (!as_utf8(text, "'text'", payload)) return false;
    kind = http::WebSocketEncoder::Kind::Text;
  } else {
    PyErr_SetString(PyExc_ValueError, "websocket.send needs 'bytes' or 'text'");
    return false;
  }
  std::string_view rest = encoder_.message(kind, payload, frame);
  exchange_->send_raw(frame.view(), rest);
  return true;
}

bool AsgiSocket::take_close(PyObject* message) {
  const Asgi::Words& words = asgi_.words_;
  if (state_ == State::Connecting) {
    exchange_->fail(403);
    lose(kAbnormal, {});
    return true;
  }
  long code = 1000;
  if (PyObject* given = value_of(message, words.code)) {
    code = PyLong_AsLong(given);
    if (code == -1 && PyErr_Occurred() != nullptr) return false;
  }
  if (code < 0 || code > 65535 || !http::is_close_code(static_cast<std::uint16_t>(code))) {
    PyErr_Format(PyExc_ValueError, "%ld may not be sent as a close code", code);
    return false;
  }
  std::string_view reason;
  PyObject* given = value_of(message, words.reason);
  if (given != nullptr && !as_utf8(given, "'reason'", reason)) return false;
  close(static_cast<std::uint16_t>(code), reason);
  return true;
}

bool AsgiSocket::take_denial_start(PyObject* message) {
  const Asgi::Words& words = asgi_.words_;
  PyObject* status = PyDict_GetItemWithError(message, words.status.get());
  long code = status == nullptr ? 0 : PyLong_AsLong(status);
  if (code == -1 && PyErr_Occurred() != nullptr) return false;
  if (code < 200 || code > 599) {
    PyErr_Format(PyExc_ValueError, "response status must be from 200 to 599, not %ld", code);
    return false;
  }
  http::ResponseHead& response = exchange_->response();
  response.start(http::status_text(static_cast<int>(code)));
  PyObject* headers = value_of(message, words.headers);
  bool taken =
      headers == nullptr ||
      each_header(headers, &response, [](void* to, std::string_view name, std::string_view value) {
        return static_cast<http::ResponseHead*>(to)->add(name, value);
      });
  if (!taken) {
    response.clear();
    return false;
  }
  state_ = State::Denying;
  return true;
}

bool AsgiSocket::take_denial_body(PyObject* message) {
  const Asgi::Words& words = asgi_.words_;
  std::string_view bytes;
  PyObject* body = value_of(message, words.body);
  if (body != nullptr && !as_bytes(body, "'body'", bytes)) return false;
  if (is_true(message, words.more_body)) {
    exchange_->send(bytes);
    return true;
  }
  if (exchange_->head_sent()) {
    exchange_->send(bytes);
    exchange_->end();
  } else {
    exchange_->send_whole(bytes);
  }
  lose(kAbnormal, {});
  return true;
}

void AsgiSocket::on_change() { asgi_.host_.defer(*this); }

void AsgiSocket::on_ping_due() {
  // It has been quiet: what compression holds is not needed.
  encoder_.release();
  decoder_.release();
  http::ByteBuffer frame;
  http::WebSocketEncoder::ping({}, frame);
  exchange_->send_raw(frame.view());
  exchange_->await_pong();
}

void AsgiSocket::on_pong_late() {
  pong_late_ = true;
  asgi_.host_.defer(*this);
}

// Only before it is accepted: an open WebSocket is no request any more.
void AsgiSocket::on_overdue() {
  if (exchange_ == nullptr || in_first_step_) return;
  PyRef kept = PyRef::borrow(self_.get());
  report_overdue(asgi_.worker_, *exchange_);
  exchange_->fail(504);
  lose(kAbnormal, {});
  cancel();
}

// The engine has something new for us.
void AsgiSocket::act() {
  PyRef kept = PyRef::borrow(self_.get());
  if (asgi_.window_over_) {
    send_away();
  } else if (pong_late_ && state_ == State::Open) {
    close(http::close_code::kInternalError, "keepalive ping timeout");
  } else if (state_ == State::Open) {
    read();
    if (state_ == State::Open) exchange_->await_ping();
  }
  wake_all();
}

// Reads as long as the app keeps up.
void AsgiSocket::read() {
  while (state_ == State::Open && queued_ < kQueueBytes && queue_.size() < kQueueMessages) {
    std::span<char> input = exchange_->receive_raw(asgi_.host_.lane());
    if (input.empty()) {
      if (exchange_->client_ended()) lose(kAbnormal, {});
      return;
    }
    exchange_->await_ping();
    if (!take_input(input)) return;
  }
}

// False: the WebSocket has ended.
bool AsgiSocket::take_input(std::span<char> input) {
  using Event = http::WebSocketDecoder::Event;
  auto limit = static_cast<std::uint64_t>(asgi_.host_.engine().settings().ws_max_size);
  for (;;) {
    http::WebSocketDecoder::Step step = decoder_.next(input, limit);
    input = input.subspan(step.used);
    http::ByteBuffer frame;
    switch (step.event) {
      case Event::NeedMore:
        return true;
      case Event::Text:
      case Event::Binary:
        if (!queue_message(step.event == Event::Text, step.data)) {
          report_exception(asgi_.worker_, nullptr);
          close(http::close_code::kInternalError, {});
          return false;
        }
        break;
      case Event::Ping:
        // A client that does not read gets no more of them (§5.5.3).
        if (exchange_->pending() > kHighWater) break;
        http::WebSocketEncoder::pong(step.data, frame);
        exchange_->send_raw(frame.view());
        break;
      case Event::Pong:
        break;
      case Event::Close:
        // Its code goes back to it (§5.5.1).
        http::WebSocketEncoder::close(step.code, {}, frame);
        exchange_->send_raw(frame.view());
        lose(step.code, step.data);
        return false;
      case Event::Refused:
        close(step.code, step.data);
        return false;
    }
  }
}

bool AsgiSocket::queue_message(bool is_text, std::string_view data) {
  const Asgi::Words& words = asgi_.words_;
  auto size = static_cast<Py_ssize_t>(data.size());
  PyRef content = PyRef::steal(is_text ? PyUnicode_DecodeUTF8(data.data(), size, nullptr)
                                       : PyBytes_FromStringAndSize(data.data(), size));
  PyRef message = PyRef::steal(PyDict_Copy(words.websocket_receive.get()));
  const PyRef& key = is_text ? words.text : words.bytes;
  if (!content || !message || PyDict_SetItem(message.get(), key.get(), content.get()) < 0) {
    return false;
  }
  queue_.push_back(std::move(message));
  queued_ += data.size();
  return true;
}

void AsgiSocket::send_away() {
  if (state_ == State::Open) close(kServiceRestart, "service restart");
}

// We end it.
void AsgiSocket::close(std::uint16_t code, std::string_view reason) {
  http::ByteBuffer frame;
  http::WebSocketEncoder::close(code, reason, frame);
  exchange_->send_raw(frame.view());
  lose(code, reason);
}

// It has ended, one way or another.
void AsgiSocket::lose(std::uint16_t code, std::string_view reason) {
  close_code_ = code;
  close_reason_ = reason;
  end_connection();
  wake_all();
}

void AsgiSocket::end_connection() {
  State before = std::exchange(state_, State::Closed);
  engine::Exchange* exchange = std::exchange(exchange_, nullptr);
  static_cast<net::ListLink<AsgiSocket>&>(*this).unlink();
  static_cast<net::ListLink<Deferred>&>(*this).unlink();
  if (exchange == nullptr) return;
  bool coroutine_goes_on = static_cast<bool>(self_);
  if (coroutine_goes_on) asgi_.host_.hold();
  if (before == State::Open) {
    asgi_.host_.close_upgraded(*exchange);
  } else {
    asgi_.host_.finish(*exchange);
  }
}

void AsgiSocket::on_end(bool raised) {
  // Ours, that the WebSocket is closed, is no error of the app's.
  PyObject* disconnected = client_disconnected();
  bool ours = disconnected != nullptr && PyErr_ExceptionMatches(disconnected) != 0;
  if (raised && (ours || is_cancelled())) {
    PyErr_Clear();
    raised = false;
  }
  if (raised) report_exception(asgi_.worker_, exchange_);
  PyRef kept = PyRef::borrow(self_.get());
  bool held = exchange_ == nullptr;
  self_.reset();
  if (exchange_ != nullptr) {
    if (state_ == State::Open) {
      close(raised ? http::close_code::kInternalError : http::close_code::kNormal, {});
    } else {
      exchange_->fail(500);
      lose(kAbnormal, {});
    }
  }
  if (held) asgi_.host_.release();
  queue_.clear();
  self_ = std::move(kept);
  leave(false);
}

}  // namespace appd::gateway
