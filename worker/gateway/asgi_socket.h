// AsgiSocket: one WebSocket in the hands of an ASGI app (ASGI 3.0, WebSocket specification 2.4).
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>

#include "worker/gateway/asgi.h"
#include "worker/gateway/asgi_channel.h"
#include "worker/http/websocket_codec.h"
#include "worker/http/websocket_handshake.h"

namespace appd::gateway {

// Connecting ──accept──▶ Open ──close, either side's──▶ Closed. Refused without accept: Closed too.
class AsgiSocket final : public AsgiChannel, public Deferred, public net::ListLink<AsgiSocket> {
 public:
  explicit AsgiSocket(Asgi& asgi) : AsgiChannel(asgi) {}

  // The handshake's views look into the exchange's head, which was kept. `self` is the object that
  // owns this.
  void begin(engine::Exchange& exchange, PyRef self, http::WebSocketHandshake handshake);
  // Tells the client to go: 1012, as the service restarts.
  void send_away();

  StepEnd receive(PyRef& message) override;
  StepEnd send(PyObject* message, PyRef& result) override;
  void on_change() override;
  void on_ping_due() override;
  void on_pong_late() override;
  void on_overdue() override;
  void on_end(bool raised) override;
  void act() override;

 private:
  enum class State : std::uint8_t { Connecting, Denying, Open, Closed };

  bool take_accept(PyObject* message);
  bool take_message(PyObject* message);
  bool take_close(PyObject* message);
  bool take_denial_start(PyObject* message);
  bool take_denial_body(PyObject* message);
  void read();
  bool take_input(std::span<char> input);
  bool queue_message(bool is_text, std::string_view data);
  void close(std::uint16_t code, std::string_view reason);
  void lose(std::uint16_t code, std::string_view reason);
  void end_connection();
  PyRef disconnect_message() const;

  State state_ = State::Connecting;
  bool connect_told_ = false;
  bool pong_late_ = false;
  std::uint16_t close_code_ = http::close_code::kNone;
  std::string close_reason_;
  http::WebSocketHandshake handshake_;
  http::WebSocketDecoder decoder_;
  http::WebSocketEncoder encoder_;
  std::deque<PyRef> queue_;  // messages for the app
  std::size_t queued_ = 0;   // their bytes
};

}  // namespace appd::gateway
