// Greenlets: answers exchanges by calling a WSGI app, each in a greenlet of its own (gevent,
// eventlet), or in the loop's own turn where there are none (tornado).
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "worker/gateway/loop_host.h"
#include "worker/gateway/wsgi.h"

namespace appd::gateway {

// Under the interpreter's lock, in the loop's thread; lives as long as the process.
class Greenlets final : public LoopServer {
 public:
  Greenlets(PyRef app, LoopHost& host, std::uint32_t worker);
  ~Greenlets() override;

  // As EnvironBuilder::prepare().
  bool prepare(const std::vector<engine::Peer>& names, std::string_view root_path) {
    return wsgi_.prepare(names, false, root_path);
  }
  // How a request begins: `spawn(function)` calls the function at once, in a new greenlet, and
  // returns that when it has ended or waits. None: in the loop's own turn. False with an exception
  // set.
  bool set_spawn(PyObject* spawn);
  // Requests wait in greenlets, and can be ended there.
  bool waits() const { return static_cast<bool>(spawn_); }
  void start(engine::Exchange& exchange, engine::Lane& lane) override;

 private:
  class Waiting;

  static PyObject* run_entry(PyObject* self, PyObject* unused);
  void run();

  LoopHost& host_;
  Wsgi wsgi_;
  std::uint32_t worker_;
  PyRef spawn_;
  PyRef run_function_;
  engine::Exchange* next_ = nullptr;  // what the greenlet that begins now is to answer
  bool waiting_ = false;              // the greenlet begun last has not ended
  std::vector<std::unique_ptr<StartResponse>> free_;
  std::map<const engine::Exchange*, std::unique_ptr<Waiting>> waiting_requests_;
};

}  // namespace appd::gateway
