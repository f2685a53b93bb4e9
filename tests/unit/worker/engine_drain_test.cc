// Leaving politely: nobody who was served or is on the way loses an answer.
#include <gtest/gtest.h>

#include "tests/unit/worker/engine_harness.h"

namespace appd::engine {
namespace {

using test::Answer;
using test::HttpClient;

TEST(EngineDrain, EndsAtOnceWithoutConnections) {
  EngineHarness engine;
  engine.drain();
  engine.join();
  EXPECT_FALSE(HttpClient(engine.port()).connected()) << "the listener is closed";
}

TEST(EngineDrain, AnswersTheNextRequestOfAnIdleConnectionAndThenCloses) {
  EngineHarness engine;
  HttpClient client(engine.port());
  EXPECT_FALSE(client.get("/").value_or(Answer{}).closes());
  engine.drain();
  auto last = client.get("/").value_or(Answer{});
  EXPECT_EQ(last.status, 200);
  EXPECT_TRUE(last.closes());
  EXPECT_TRUE(client.ended());
}

TEST(EngineDrain, ClosesIdleConnectionsAfterTheirGrace) {
  EngineHarness engine;
  HttpClient client(engine.port());
  client.get("/");
  engine.drain();
  engine.join();
  EXPECT_TRUE(client.ended()) << "with an end of file, not a reset";
}

TEST(EngineDrain, FinishesARequestThatIsHalfReceived) {
  EngineHarness engine;
  HttpClient client(engine.port());
  ASSERT_TRUE(client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab"));
  while (engine.slot().counters.bytes_in == 0) std::this_thread::yield();
  engine.drain();
  ASSERT_TRUE(client.send("cd"));
  auto answer = client.receive().value_or(Answer{});
  EXPECT_EQ(answer.body, "abcd");
  EXPECT_TRUE(answer.closes());
}

TEST(EngineDrain, ServesAConnectionThatHasSaidNothingYet) {
  EngineHarness engine;
  HttpClient client(engine.port());
  while (engine.slot().connections == 0) std::this_thread::yield();
  engine.drain();
  EXPECT_EQ(client.get("/").value_or(Answer{}).status, 200);
}

TEST(EngineDrain, ServesWhoWasInTheAcceptQueue) {
  std::atomic<bool> go = false;
  EngineHarness engine([&](Exchange& exchange) {
    while (!go) std::this_thread::yield();
    EngineHarness::answer_hello(exchange);
  });
  HttpClient busy(engine.port());
  ASSERT_TRUE(busy.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
  while (engine.slot().busy == 0) std::this_thread::yield();
  std::vector<HttpClient> waiting;
  for (int i = 0; i < 10; ++i) waiting.emplace_back(engine.port());
  engine.drain();
  go = true;
  EXPECT_TRUE(busy.receive().value_or(Answer{}).closes());
  for (HttpClient& client : waiting) EXPECT_EQ(client.get("/").value_or(Answer{}).status, 200);
}

TEST(EngineDrain, SendsTheRestToASlowReader) {
  std::string large(8 << 20, 'x');
  EngineHarness engine([&](Exchange& exchange) {
    EngineHarness::start(exchange, "200 OK");
    exchange.send_whole(large);
  });
  HttpClient slow(engine.port(), 4096);
  ASSERT_TRUE(slow.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
  while (engine.slot().counters.requests == 0) std::this_thread::yield();
  engine.drain();
  EXPECT_TRUE(slow.receive().value_or(Answer{}).body == large);
  engine.join();
}

}  // namespace
}  // namespace appd::engine
