// What the scoreboard tells of requests that wait for their clients.
#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>

#include "tests/support/eventually.h"
#include "tests/unit/worker/engine_harness.h"

namespace appd::engine {
namespace {

using test::Answer;
using test::eventually;
using test::HttpClient;

// Of the requests in this stage those that are shown, by path.
std::vector<std::string> shown(const ScoreboardSlot& slot, RequestStage stage) {
  std::vector<std::string> paths;
  for (const RequestInHand& request : slot.in_hand) {
    if (request.started_ns != 0 && request.stage == stage) paths.emplace_back(request.path);
  }
  return paths;
}

using Paths = std::vector<std::string>;

TEST(EngineStages, ABodyThatIsStillToComeIsShownUntilItIsThere) {
  EngineHarness engine;
  HttpClient client(engine.port());
  ASSERT_TRUE(client.send("POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab"));
  EXPECT_TRUE(
      eventually([&] { return shown(engine.slot(), RequestStage::Receiving) == Paths{"/up"}; }));
  EXPECT_EQ(engine.slot().receiving, 1U);
  EXPECT_EQ(engine.slot().busy, 0U);
  ASSERT_TRUE(client.send("cd"));
  EXPECT_EQ(client.receive().value_or(Answer{}).body, "abcd");
  EXPECT_EQ(engine.slot().receiving, 0U);
  EXPECT_TRUE(shown(engine.slot(), RequestStage::Receiving).empty());
}

TEST(EngineStages, ARequestKeepsItsNumberAndTheNextHasAnother) {
  std::string large(8 << 20, 'x');
  EngineHarness engine([&](Exchange& exchange) {
    EngineHarness::start(exchange, "200 OK");
    exchange.send_whole(large);
  });
  const auto shows = [&](RequestStage stage, std::uint32_t number) {
    return eventually([&] {
      const auto& all = engine.slot().in_hand;
      return std::any_of(std::begin(all), std::end(all), [&](const RequestInHand& request) {
        return request.started_ns != 0 && request.stage == stage && request.number == number;
      });
    });
  };
  HttpClient slow(engine.port(), 4096);
  for (std::uint32_t expected = 1; expected <= 2; ++expected) {
    ASSERT_TRUE(slow.send("POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab"));
    EXPECT_TRUE(shows(RequestStage::Receiving, expected));
    ASSERT_TRUE(slow.send("cd"));
    EXPECT_TRUE(shows(RequestStage::Sending, expected));
    EXPECT_TRUE(slow.receive().value_or(Answer{}).body == large);
    ASSERT_TRUE(eventually([&] { return engine.slot().sending == 0U; }));
  }
}

TEST(EngineStages, AnAnswerThatNobodyTakesIsShownUntilItIsTaken) {
  std::string large(8 << 20, 'x');
  EngineHarness engine([&](Exchange& exchange) {
    EngineHarness::start(exchange, "200 OK");
    exchange.send_whole(large);
  });
  HttpClient slow(engine.port(), 4096);
  ASSERT_TRUE(slow.send("GET /down HTTP/1.1\r\nHost: a\r\n\r\n"));
  // It is counted a moment before it is shown.
  EXPECT_TRUE(
      eventually([&] { return shown(engine.slot(), RequestStage::Sending) == Paths{"/down"}; }));
  EXPECT_EQ(engine.slot().sending, 1U);
  EXPECT_TRUE(slow.receive().value_or(Answer{}).body == large);
  EXPECT_TRUE(eventually([&] { return engine.slot().sending == 0U; }));
}

TEST(EngineStages, AClientThatGoesAwayIsForgotten) {
  EngineHarness engine;
  {
    HttpClient client(engine.port());
    ASSERT_TRUE(client.send("POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab"));
    ASSERT_TRUE(eventually([&] { return engine.slot().receiving == 1U; }));
  }
  EXPECT_TRUE(eventually([&] { return engine.slot().receiving == 0U; }));
  HttpClient bad(engine.port());
  ASSERT_TRUE(bad.send("POST /up HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na"));
  ASSERT_TRUE(eventually([&] { return engine.slot().receiving == 1U; }));
  ASSERT_TRUE(bad.send("no chunk"));
  EXPECT_EQ(bad.receive().value_or(Answer{}).status, 400);
  EXPECT_EQ(engine.slot().receiving, 0U);
}

TEST(EngineStages, SlowClientsLeaveRoomForRequestsInTheApp) {
  std::atomic<bool> looked = false;
  std::vector<std::string> in_app;
  EngineHarness* self = nullptr;
  EngineHarness engine([&](Exchange& exchange) {
    in_app = shown(self->slot(), RequestStage::InApp);
    looked = true;
    EngineHarness::answer_hello(exchange);
  });
  self = &engine;
  std::vector<HttpClient> slow;
  for (std::size_t i = 0; i < kShownInHand; ++i) {
    slow.emplace_back(engine.port());
    ASSERT_TRUE(slow.back().send("POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab"));
  }
  ASSERT_TRUE(eventually([&] { return engine.slot().receiving == kShownInHand; }));
  EXPECT_EQ(shown(engine.slot(), RequestStage::Receiving).size(), kShownInHand / 2);
  HttpClient client(engine.port());
  EXPECT_EQ(client.get("/work").value_or(Answer{}).status, 200);
  EXPECT_TRUE(looked);
  EXPECT_EQ(in_app, Paths{"/work"});
}

}  // namespace
}  // namespace appd::engine
