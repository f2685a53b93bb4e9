// AsgiCall: one HTTP request in the hands of an ASGI app: its `receive` and `send`.
#pragma once

#include <cstdint>
#include <vector>

#include "worker/engine/exchange.h"
#include "worker/gateway/asgi.h"

namespace appd::gateway {

// Belongs to the Python object that `receive` and `send` are bound to, and lives as long as the app
// holds one of these. Under the interpreter's lock, in the loop's thread.
class AsgiCall final : public engine::ExchangeObserver, public Completion {
 public:
  // What the app may have for a client that is slow to read, until send() waits.
  static constexpr std::uint64_t kHighWater = 64 * 1024;

  explicit AsgiCall(Asgi& asgi) : asgi_(asgi) {}

  // The Python object with a call in it; empty with an exception set.
  static PyRef make(Asgi& asgi);
  static AsgiCall& of(PyObject* self);

  // Calls the app. `self` is kept until it has ended.
  void begin(engine::Exchange& exchange, PyRef self);

  // The steps of receive() and send(): Returned with a message, Yielded when there is nothing yet.
  StepEnd receive(PyRef& message);
  StepEnd send(PyObject* message, PyRef& result);
  StepEnd await_room(PyRef& result);
  // The future that is made ready by the next change; empty with an exception set.
  PyRef next_change();

  void on_change() override;
  void on_end(bool raised) override;

 private:
  friend class Asgi;

  bool take_start(PyObject* message);
  StepEnd take_body(PyObject* message, PyRef& result);
  bool take_trailers(PyObject* message);
  PyRef body_message(bool more);
  void complete();
  void finish();
  bool only_ours(const PyRef& self) const;
  void wake_all();

  Asgi& asgi_;
  PyRef self_;            // while the app runs
  PyRef receive_, send_;  // bound to self; their references are counted in only_ours()
  engine::Exchange* exchange_ = nullptr;  // until the answer is complete
  std::vector<PyRef> waiting_;            // futures
  bool body_told_ = false;                // receive() has given all of it
  bool answered_ = false;
  bool trailers_wanted_ = false;
  bool in_first_step_ = false;
};

}  // namespace appd::gateway
