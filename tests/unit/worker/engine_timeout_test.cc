// Clients that take too long, each kind by its own setting, and that waiting costs no wake-up.
#include <gtest/gtest.h>

#include "tests/unit/worker/engine_harness.h"

namespace appd::engine {
namespace {

using test::Answer;
using test::HttpClient;

message::Settings with(std::uint32_t message::Settings::*field, std::uint32_t value = 50) {
  message::Settings settings;
  settings.*field = value;
  return settings;
}

TEST(EngineTimeout, AnswersAHeadThatTakesTooLong) {
  EngineHarness engine(EngineHarness::answer_hello,
                       with(&message::Settings::client_header_timeout_ms));
  HttpClient client(engine.port());
  ASSERT_TRUE(client.send("GET / HTTP/1.1\r\nHo"));
  auto answer = client.receive().value_or(Answer{});
  EXPECT_EQ(answer.status, 408);
  EXPECT_NE(answer.body.find("client_header_timeout"), std::string::npos);
  EXPECT_TRUE(client.ended());
}

TEST(EngineTimeout, ClosesAConnectionThatNeverSaidAnything) {
  EngineHarness engine(EngineHarness::answer_hello,
                       with(&message::Settings::client_header_timeout_ms));
  HttpClient client(engine.port());
  EXPECT_TRUE(client.ended());
}

TEST(EngineTimeout, AnswersABodyThatTakesTooLong) {
  EngineHarness engine(EngineHarness::answer_hello,
                       with(&message::Settings::client_body_timeout_ms));
  HttpClient client(engine.port());
  ASSERT_TRUE(client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab"));
  auto answer = client.receive().value_or(Answer{});
  EXPECT_EQ(answer.status, 408);
  EXPECT_NE(answer.body.find("client_body_timeout"), std::string::npos);
}

TEST(EngineTimeout, ClosesAnIdleConnection) {
  EngineHarness engine(EngineHarness::answer_hello, with(&message::Settings::keepalive_ms));
  HttpClient client(engine.port());
  EXPECT_EQ(client.get("/").value_or(Answer{}).status, 200);
  EXPECT_TRUE(client.ended());
}

TEST(EngineTimeout, ChangesForConnectionsThatWaitAlready) {
  EngineHarness engine(EngineHarness::answer_hello,
                       with(&message::Settings::keepalive_ms, 3'600'000));
  HttpClient client(engine.port());
  EXPECT_EQ(client.get("/").value_or(Answer{}).status, 200);
  engine.apply(with(&message::Settings::keepalive_ms));
  EXPECT_TRUE(client.ended());
}

TEST(EngineTimeout, DropsAReaderThatDoesNotRead) {
  EngineHarness engine(
      [](Exchange& exchange) {
        EngineHarness::start(exchange, "200 OK");
        exchange.send_whole(std::string(16 << 20, 'x'));
      },
      with(&message::Settings::send_timeout_ms));
  HttpClient client(engine.port(), 4096);
  ASSERT_TRUE(client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
  while (engine.slot().counters.requests == 0) std::this_thread::yield();
  while (engine.slot().connections != 0) std::this_thread::yield();
}

TEST(EngineTimeout, KeepaliveZeroClosesAfterEachAnswer) {
  EngineHarness engine(EngineHarness::answer_hello, with(&message::Settings::keepalive_ms, 0));
  HttpClient client(engine.port());
  EXPECT_TRUE(client.get("/").value_or(Answer{}).closes());
  EXPECT_TRUE(client.ended());
}

TEST(EngineTimeout, AnIdleEngineDoesNotWakeUp) {
  EngineHarness engine;
  HttpClient client(engine.port());
  EXPECT_EQ(client.get("/").value_or(Answer{}).status, 200);
  // The next thing that happens is ours: whatever else woke the engine would be counted before it.
  HttpClient witness(engine.port());
  EXPECT_EQ(witness.get("/").value_or(Answer{}).status, 200);
  int before = engine.wake_ups();
  EXPECT_EQ(witness.get("/").value_or(Answer{}).status, 200);
  EXPECT_LE(engine.wake_ups() - before, 2);
}

}  // namespace
}  // namespace appd::engine
