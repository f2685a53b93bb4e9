// Asgi: answers exchanges by running an ASGI 3.0 app on an event loop.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "worker/gateway/asgi_scope.h"
#include "worker/gateway/driver.h"
#include "worker/gateway/loop_host.h"

namespace appd::gateway {

class AsgiCall;
class AsgiChannel;
class AsgiSocket;
struct HeldTag;

// Owns the app and the scope's parts. Under the interpreter's lock, in the loop's thread; lives as
// long as the process.
class Asgi final : public LoopServer {
 public:
  // `app` is a new reference.
  Asgi(PyRef app, LoopHost& host, std::uint32_t worker)
      : app_(std::move(app)), host_(host), worker_(worker) {}

  // Within the running loop. `state` is the lifespan's dict, or None. False with an exception set.
  bool prepare(PyObject* loop, PyObject* state, const std::vector<engine::Peer>& names,
               const std::string& root_path);
  // WebSockets are requests to the app like any other. It detaches them, and its send_away() is
  // called when they have had their window.
  void leave_websockets_to_app() { app_has_websockets_ = true; }
  void start(engine::Exchange& exchange, engine::Lane& lane) override;
  // WebSockets may stay for their window.
  void drain() override;

 private:
  friend class AsgiCall;
  friend class AsgiChannel;
  friend class AsgiSocket;

  static constexpr std::size_t kSpareCalls = 64;

  // The keys and values of messages.
  struct Words {
    bool make();
    PyRef type, body, more_body, status, headers, trailers, more_trailers;
    PyRef bytes, text, code, reason, subprotocol, path, links;
    PyRef request_empty;      // {"type": "http.request", "body": b"", "more_body": False}
    PyRef disconnect;         // {"type": "http.disconnect"}
    PyRef websocket_receive;  // {"type": "websocket.receive"}
    PyRef cancelled_error;    // asyncio.CancelledError
  };

  bool start_websocket(engine::Exchange& exchange, engine::Lane& lane);
  // What the call holds back is sent at the loop's next turn.
  void release_soon(AsgiCall& call);
  static PyObject* release_entry(PyObject* self, PyObject* unused);
  void release_held();
  void send_sockets_away();
  static PyObject* send_away_entry(PyObject* self, PyObject* unused);
  // What the app returned as something that can be driven; empty with an exception set.
  PyRef as_coroutine(PyRef returned) const;
  void report_incomplete(const engine::Exchange& exchange) const;

  PyRef app_;
  LoopHost& host_;
  std::uint32_t worker_;
  AsgiScope scope_;
  Driver driver_;
  Words words_;
  PyRef coroutine_type_;
  PyRef loop_;
  PyRef call_soon_, release_function_;
  net::IntrusiveList<AsgiCall, HeldTag> held_;  // until release_entry() is called
  bool release_planned_ = false;
  bool app_has_websockets_ = false;
  bool window_over_ = false;  // WebSockets that come now are sent away at once
  net::IntrusiveList<AsgiSocket, AsgiSocket> sockets_;  // those that are open
  std::vector<PyRef> spare_calls_;  // of requests that are over, whose app has kept nothing of them
};

}  // namespace appd::gateway
