// An engine in a thread of its own, with a gateway that is a function of the test.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "common/scoreboard.h"
#include "tests/support/http_client.h"
#include "worker/engine/engine.h"

namespace appd::engine {

// A listening socket on loopback, and its port.
UniqueFd listen_somewhere(std::uint16_t& port);

// Owns engine and thread. The handler runs in that thread, with the engine's lock.
class EngineHarness {
 public:
  using Handler = std::function<void(Exchange&)>;

  explicit EngineHarness(Handler handler = answer_hello, message::Settings settings = {});
  ~EngineHarness();

  std::uint16_t port() const { return port_; }
  ScoreboardSlot& slot() { return scoreboard_.slot(0); }
  void drain() { engine_->request_drain(); }
  // Waits until the engine has drained itself and its thread has ended.
  void join() { thread_.join(); }
  void apply(const message::Settings& settings);
  // How often the engine's thread has come back from waiting.
  int wake_ups() const { return wake_ups_; }

  // 200 with "hello", or what the request sent as its body.
  static void answer_hello(Exchange& exchange);
  // Begins an answer.
  static void start(
      Exchange& exchange, std::string_view status,
      std::initializer_list<std::pair<std::string_view, std::string_view>> fields = {});

 private:
  void run();

  Handler handler_;
  Scoreboard scoreboard_;
  std::uint16_t port_ = 0;
  std::unique_ptr<Engine> engine_;
  std::mutex lock_;
  std::atomic<int> wake_ups_ = 0;
  std::thread thread_;
};

}  // namespace appd::engine
