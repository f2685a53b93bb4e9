// Serving: how a worker's engine is waited for and its app is called; one for each kind of class.
#pragma once

#include <algorithm>
#include <chrono>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "common/messages.h"
#include "worker/engine/engine.h"
#include "worker/gateway/monitor.h"
#include "worker/gateway/python.h"

namespace appd::gateway {

// What every serving gets. The references live as long as the process.
struct ServingParts {
  engine::Engine& engine;
  Monitor& monitor;
  PyRef app;
  std::uint32_t worker;
  const message::Load& load;
  std::vector<engine::Peer> names;  // what each listener is bound to
};

// How the serving has ended.
struct ServingEnd {
  bool booted = true;   // false: it never began, and the rest says why
  bool failed = false;  // an exception of Python's, which is set unless it never began
  std::string summary = {};
  std::string traceback = {};
};

// In the main thread, under the interpreter's lock.
class Serving {
 public:
  virtual ~Serving() = default;

  std::function<void()> on_ready;    // requests are answered from now on
  std::function<void()> on_watched;  // the engine's watched descriptor is readable
  std::function<void()> on_drain;    // the engine has begun to drain; once
  // A request is over a limit and cannot be ended; its description, if known.
  std::function<void(std::string_view request, std::chrono::milliseconds after)> on_stuck;

  // Until the engine is drained.
  virtual ServingEnd serve() = 0;
  // New settings are in the engine.
  virtual void tune() = 0;
  // Somebody wants the request in hand with this number ended. Threads cannot be.
  virtual void cancel(std::uint32_t) {}
  // In the monitor's thread, without the interpreter's lock: somebody is held up in the app.
  virtual void held_up() = 0;
  // The same, and clients are waiting.
  virtual void relieve() = 0;
};

// How long a serving thread or a loop may be stuck: timeout, or request_timeout and `grace` after
// it.
inline std::chrono::milliseconds stuck_limit(const message::Settings& settings,
                                             std::chrono::milliseconds grace) {
  std::chrono::milliseconds limit(settings.timeout_ms);
  if (settings.request_timeout_ms == 0) return limit;
  std::chrono::milliseconds request =
      std::chrono::milliseconds(settings.request_timeout_ms) + grace;
  return limit.count() == 0 ? request : std::min(limit, request);
}

// For sync and gthread: threads that wait in the engine themselves.
std::unique_ptr<Serving> make_crew_serving(ServingParts parts);
// For the classes that an event loop serves. `worker_class` is one of them.
std::unique_ptr<Serving> make_loop_serving(ServingParts parts, const std::string& worker_class);

}  // namespace appd::gateway
