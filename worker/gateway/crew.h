// Crew: the threads that serve one engine. With one thread it is the class sync, with more gthread.
//
// Leader and followers: one thread, the leader, waits in the engine without the interpreter's
// lock, then takes the lock and runs what it found itself. Whoever comes back from the app and
// finds nobody waiting leads on. Only when all that are awake have been in the app for about a
// millisecond does the monitor wake a sleeping follower to wait in their place.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "worker/engine/engine.h"
#include "worker/gateway/monitor.h"
#include "worker/gateway/wsgi.h"

namespace appd::gateway {

// Borrows engine and gateway. serve() belongs to the main thread; the rest is said where it is.
class Crew {
 public:
  Crew(engine::Engine& engine, Wsgi& wsgi, Monitor& monitor);

  // The host's link is readable; called under the interpreter's lock.
  std::function<void()> on_watched;
  // The engine has begun to drain; called once, under the interpreter's lock.
  std::function<void()> on_drain;

  // Serves until the engine is drained and all other threads have left. False: an exception of
  // Python's (a signal handler's) ended it.
  bool serve();
  // Under the interpreter's lock: from now on so many threads.
  void resize(std::uint32_t threads);
  // Any thread, without the interpreter's lock: somebody is held up in the app. False: there is
  // nobody who could wait in the engine now.
  bool promote();

 private:
  struct Member {
    explicit Member(std::uint32_t at) : index(at) {}
    std::uint32_t index;
    bool running = false;  // has a thread; under the interpreter's lock
    Watched watched;
    engine::Lane lane;
    StartResponse start_response;
    bool called = false;  // woken; under mutex_
    std::condition_variable call;
  };

  static PyObject* thread_main(PyObject* self, PyObject* unused);
  bool start_thread(Member& member);
  bool work(Member& me);
  void serve_one(Member& me, engine::Exchange& exchange);
  bool should_leave(const Member& me);
  bool tend_engine();
  bool idle(Member& me);
  bool wake_one();
  void wake_all();

  engine::Engine& engine_;
  Wsgi& wsgi_;
  Monitor& monitor_;
  std::vector<std::unique_ptr<Member>> members_;  // grows only; under the interpreter's lock
  std::uint32_t wanted_ = 1;
  std::uint32_t running_ = 1;
  bool drain_noted_ = false;
  std::atomic<Member*> leader_ = nullptr;
  std::atomic<std::uint32_t> calls_ = 0;  // how often everybody was woken
  std::mutex mutex_;
  std::vector<Member*> sleepers_;  // the last to fall asleep is woken first: its caches are warm
};

}  // namespace appd::gateway
