// LoopHost: an engine that is served from somebody else's event loop (asyncio, gevent's hub, …).
//
// The loop watches one descriptor and calls tick() when it is readable. Each request goes to a
// server, which gives it back by finish(), within the tick or later.
#pragma once

#include <cstdint>
#include <functional>

#include "worker/engine/engine.h"
#include "worker/gateway/monitor.h"
#include "worker/gateway/python.h"
#include "worker/net/intrusive_list.h"

namespace appd::gateway {

// How long a request that is over request_timeout may resist being ended.
inline constexpr std::chrono::seconds kResistance{5};

// Answers requests; one for each way of calling an app.
class LoopServer {
 public:
  virtual ~LoopServer() = default;
  // Begins to answer; LoopHost::finish() ends it. The lane is used for the next request as soon as
  // this returns: what needs the head longer calls Exchange::keep_head().
  virtual void start(engine::Exchange& exchange, engine::Lane& lane) = 0;
  // The engine has begun to drain.
  virtual void drain() {}
};

// What has heard of a change within the engine, and acts on it when that has come back.
struct Deferred : net::ListLink<Deferred> {
  virtual void act() = 0;

 protected:
  ~Deferred() = default;
};

// Borrows engine and monitor; everything under the interpreter's lock, in the loop's thread.
class LoopHost {
 public:
  LoopHost(engine::Engine& engine, Monitor& monitor) : engine_(engine), monitor_(monitor) {
    monitor_.watch(watched_);
  }

  std::function<void()> on_watched;   // the host's link is readable
  std::function<void()> on_drain;     // the engine has begun to drain; called once
  std::function<void()> on_finished;  // drained, and nothing is in hand; called once
  // A request is over request_timeout and cannot be ended; called once.
  std::function<void(net::Nanoseconds age)> on_hopeless;

  void serve(LoopServer& server) { server_ = &server; }
  // At most so many requests in hand; the others wait in their connections, and new clients in the
  // accept queue.
  void set_limit(std::uint32_t worker_connections);
  // The loop's descriptor is readable.
  void tick();
  // Ends the request in hand with this number as if it were over request_timeout; nothing: it is
  // over.
  void cancel(std::uint32_t number);
  // The answer is complete.
  void finish(engine::Exchange& exchange);
  // The request has become another protocol's; close_upgraded() ends it, and it counts as held.
  void upgrade(engine::Exchange& exchange);
  void close_upgraded(engine::Exchange& exchange);
  // As upgrade(); see Engine::detach().
  UniqueFd detach(engine::Exchange& exchange, std::string& received);
  // Calls it in this tick, outside of the engine, or in the next one.
  void defer(Deferred& deferred);
  // What goes on without an exchange (a WebSocket, a coroutine whose answer is complete) but must
  // end before the worker does.
  void hold() { ++held_; }
  void release();
  engine::Engine& engine() { return engine_; }
  engine::Lane& lane() { return lane_; }

 private:
  bool full() const { return in_hand_ + held_ >= limit_; }
  void leave_hand_held();
  void tend_engine();
  void end_overdue();
  void note_room();
  void run_deferred();
  void note_finished();

  engine::Engine& engine_;
  Monitor& monitor_;
  LoopServer* server_ = nullptr;
  engine::Lane lane_;
  Watched watched_;
  net::IntrusiveList<Deferred, Deferred> deferred_;
  std::uint32_t limit_ = 1000;
  std::uint32_t in_hand_ = 0;
  std::uint32_t held_ = 0;
  bool in_tick_ = false;
  bool was_full_ = false;
  bool drain_noted_ = false;
  bool finished_noted_ = false;
  bool hopeless_noted_ = false;
};

}  // namespace appd::gateway
