// How long requests have waited while the engine looked elsewhere.
#include <gtest/gtest.h>

#include <numeric>

#include "tests/support/eventually.h"
#include "tests/unit/worker/engine_harness.h"

namespace appd::engine {
namespace {

using test::eventually;
using test::HttpClient;
using namespace std::chrono_literals;

// An engine that looks when it is told to.
class EngineWaitTest : public testing::Test {
 protected:
  EngineWaitTest() {
    std::vector<UniqueFd> listeners;
    listeners.push_back(listen_somewhere(port_));
    engine_ = Engine::create(std::move(listeners), {}, {}, board_.slot(0)).value();
  }
  // Answers what is there.
  void look() {
    engine_->poll();
    while (Exchange* exchange = engine_->next(lane_)) {
      exchange->response().start("200 OK");
      exchange->send_whole("hello");
      engine_->finish(*exchange);
    }
  }
  // Looks until the client has its answer.
  bool serve(HttpClient& client) {
    const Counts before = read(board_.slot(0).counters);
    const bool served = eventually([&] {
      look();
      return growth(before, read(board_.slot(0).counters)).requests == 1;
    });
    return served && client.receive().has_value();
  }
  static void look_elsewhere(std::chrono::milliseconds time) {
    const auto begin = std::chrono::steady_clock::now();
    ASSERT_TRUE(eventually([&] { return std::chrono::steady_clock::now() - begin >= time; }));
  }
  // Requests that have waited for more than 16 ms.
  std::uint64_t waited() {
    const Counts counts = read(board_.slot(0).counters);
    return std::accumulate(counts.waits + 5, std::end(counts.waits), std::uint64_t{0});
  }

  Scoreboard board_ = Scoreboard::create().value();
  std::uint16_t port_ = 0;
  std::unique_ptr<Engine> engine_;
  Lane lane_;
};

TEST_F(EngineWaitTest, OfANewConnectionBeginsBeforeItIsAccepted) {
  look();
  HttpClient client(port_);
  client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  look_elsewhere(50ms);
  ASSERT_TRUE(serve(client));
  EXPECT_EQ(waited(), 1U);
}

TEST_F(EngineWaitTest, OfAKeptConnectionBeginsWhenTheRequestHasCome) {
  HttpClient client(port_);
  client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_TRUE(serve(client));
  const std::uint64_t before = waited();
  client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  look_elsewhere(50ms);
  ASSERT_TRUE(serve(client));
  EXPECT_EQ(waited(), before + 1);
}

}  // namespace
}  // namespace appd::engine
