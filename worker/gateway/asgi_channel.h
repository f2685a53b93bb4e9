// AsgiChannel: `receive` and `send` of one connection with an ASGI app, HTTP request or WebSocket.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "worker/engine/exchange.h"
#include "worker/gateway/awaitable.h"
#include "worker/gateway/driver.h"

namespace appd::gateway {

class Asgi;

// Belongs to the Python object that `receive` and `send` are bound to, and lives as long as the app
// holds one of these. Under the interpreter's lock, in the loop's thread.
class AsgiChannel : public engine::ExchangeObserver, public Completion {
 public:
  // What may wait for a client that is slow to read, in bytes, until send() waits.
  static constexpr std::uint64_t kHighWater = 64 * 1024;

  virtual ~AsgiChannel() = default;
  // The Python object that owns the channel; empty with an exception set.
  static PyRef wrap(std::unique_ptr<AsgiChannel> channel);
  static AsgiChannel& of(PyObject* self);

  // The steps of receive() and send(): Returned with a message, Yielded when it has to wait.
  virtual StepEnd receive(PyRef& message) = 0;
  virtual StepEnd send(PyObject* message, PyRef& result) = 0;
  StepEnd await_room(PyRef& result);
  // Gives the client's socket to the app; see detached.h.
  virtual PyRef detach();
  // The future that is made ready by the next change; empty with an exception set.
  PyRef next_change();

 protected:
  explicit AsgiChannel(Asgi& asgi) : asgi_(asgi) {}

  // Calls the app and takes its first step. True: it has ended, and this may be gone.
  bool run_app(PyRef scope);
  // For on_end(): the object, if nobody but us holds it and it may be used again. Otherwise it is
  // gone with the last reference, which may be here.
  PyRef leave(bool use_again);
  void wake_all();
  // After request_timeout: the exchange is answered, the coroutine is to end too.
  void cancel();
  // The exception that is set is what became of that.
  bool is_cancelled() const;

  Asgi& asgi_;
  PyRef self_;                            // while the app runs
  engine::Exchange* exchange_ = nullptr;  // while there is a connection to it
  bool in_first_step_ = false;
  bool overdue_ = false;

 private:
  PyRef task_;            // once the app waits for something
  PyRef receive_, send_;  // bound to self; their references are counted in leave()
  std::vector<PyRef> waiting_;
};

// What send() raises once the client has gone, an OSError as ASGI 2.4 wants it; nullptr with an
// exception set.
PyObject* client_disconnected();  // first called while no exception is set

// Parts of messages.

// False with an exception set.
bool as_bytes(PyObject* object, const char* what, std::string_view& bytes);
bool is_true(PyObject* message, const PyRef& key);
bool is_word(PyObject* text, const char* word);
// A message's type, borrowed; nullptr with an exception set.
PyObject* type_of(PyObject* message, const PyRef& key);

// Calls `add(name, value)` for each of the headers; it says false for what is no number, or comes
// twice. False with an exception set.
using AddHeader = bool (*)(void* to, std::string_view name, std::string_view value);
bool each_header(PyObject* headers, void* to, AddHeader add);

}  // namespace appd::gateway
