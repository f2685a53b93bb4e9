// An engine in a foreign event loop: one descriptor, streamed bodies, requests that are kept in
// hand, and connections that change their protocol.
#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "tests/support/eventually.h"
#include "tests/unit/worker/engine_harness.h"

namespace appd::engine {
namespace {

using test::Answer;
using test::eventually;
using test::HttpClient;

// The loop and the gateway in one: requests stay in `taken` until the test answers them.
class Loop {
 public:
  explicit Loop(message::Settings settings = {}, bool stream_bodies = true) {
    scoreboard = Scoreboard::create().value();
    std::vector<UniqueFd> listeners;
    listeners.push_back(listen_somewhere(port));
    engine = Engine::create(std::move(listeners), {}, settings, scoreboard.slot(0)).value();
    if (stream_bodies) engine->stream_bodies();
    fd_ = engine->poll_fd().value();
  }

  // Turns whenever the descriptor is readable, until the condition holds; false: it never did.
  template <typename Condition>
  bool turn_until(Condition condition) {
    return eventually([&] {
      if (condition()) return true;
      pollfd readable{fd_, POLLIN, 0};
      if (::poll(&readable, 1, 10) <= 0) return false;
      ++turns;
      engine->poll();
      while (Exchange* exchange = engine->next(lane)) {
        exchange->keep_head(lane);
        taken.push_back(exchange);
      }
      return condition();
    });
  }
  Exchange* take() {
    if (!turn_until([this] { return !taken.empty(); })) return nullptr;
    Exchange* exchange = taken.front();
    taken.erase(taken.begin());
    return exchange;
  }
  void answer(Exchange& exchange, std::string_view body) {
    exchange.response().start("200 OK");
    exchange.send_whole(body);
    engine->finish(exchange);
  }
  ScoreboardSlot& slot() { return scoreboard.slot(0); }

  std::uint16_t port = 0;
  Scoreboard scoreboard;
  std::unique_ptr<Engine> engine;
  Lane lane;
  std::vector<Exchange*> taken;
  int turns = 0;

 private:
  int fd_ = -1;
};

struct Observer final : ExchangeObserver {
  void on_change() override { ++changes; }
  void on_ping_due() override { ++pings; }
  void on_pong_late() override { ++late; }
  int changes = 0;
  int pings = 0;
  int late = 0;
};

std::string post(std::size_t length, std::string_view more = "") {
  return "POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: " + std::to_string(length) + "\r\n" +
         std::string(more) + "\r\n";
}

TEST(EngineLoop, TellsEachRequestThatIsOverRequestTimeoutOnce) {
  Loop loop;
  HttpClient first(loop.port);
  HttpClient second(loop.port);
  ASSERT_TRUE(first.send("GET /first HTTP/1.1\r\nHost: a\r\n\r\n"));
  Exchange* one = loop.take();
  ASSERT_TRUE(one != nullptr);
  loop.engine->poll();
  EXPECT_EQ(loop.engine->next_overdue(), nullptr) << "there is no such limit";
  message::Settings settings = loop.engine->settings();
  settings.request_timeout_ms = 1;
  loop.engine->apply(settings);
  net::TimePoint begun = loop.engine->now();
  while (loop.engine->now() - begun <= std::chrono::milliseconds(1)) loop.engine->poll();
  ASSERT_EQ(loop.engine->next_overdue(), one);
  EXPECT_EQ(loop.engine->next_overdue(), nullptr);
  EXPECT_GT(loop.engine->oldest_overdue(), std::chrono::milliseconds(1));
  one->fail(500);
  loop.engine->finish(*one);
  EXPECT_EQ(loop.engine->oldest_overdue().count(), 0);
  EXPECT_EQ(first.receive().value_or(Answer{}).status, 504);
  ASSERT_TRUE(second.send("GET /second HTTP/1.1\r\nHost: a\r\n\r\n"));
  Exchange* two = loop.take();
  ASSERT_TRUE(two != nullptr);
  EXPECT_FALSE(two->overdue());
  loop.answer(*two, "2");
}

TEST(EngineLoop, KeepsSeveralRequestsInHandAndAnswersThemInAnyOrder) {
  Loop loop;
  HttpClient first(loop.port);
  HttpClient second(loop.port);
  ASSERT_TRUE(first.send("GET /first HTTP/1.1\r\nHost: a\r\n\r\n"));
  Exchange* one = loop.take();
  ASSERT_TRUE(second.send("GET /second HTTP/1.1\r\nHost: a\r\n\r\n"));
  Exchange* two = loop.take();
  ASSERT_TRUE(one != nullptr && two != nullptr);
  EXPECT_EQ(loop.slot().busy, 2U);
  EXPECT_EQ(one->request().path, "/first");
  EXPECT_STREQ(newest_in_hand(loop.slot())->path, "/second");
  loop.answer(*two, "2");
  EXPECT_STREQ(newest_in_hand(loop.slot())->path, "/first");
  loop.answer(*one, "1");
  EXPECT_EQ(newest_in_hand(loop.slot()), nullptr);
  EXPECT_EQ(second.receive().value_or(Answer{}).body, "2");
  EXPECT_EQ(first.receive().value_or(Answer{}).body, "1");
  EXPECT_EQ(loop.slot().busy, 0U);
}

TEST(EngineLoop, ShowsTheOldestOfManyRequestsAndFindsEachByItsNumber) {
  Loop loop;
  const std::size_t more = 2;
  std::vector<std::unique_ptr<HttpClient>> clients;
  std::vector<Exchange*> exchanges;
  for (std::size_t i = 0; i < kShownInHand + more; ++i) {
    clients.push_back(std::make_unique<HttpClient>(loop.port));
    ASSERT_TRUE(clients.back()->send("GET /" + std::to_string(i) + " HTTP/1.1\r\nHost: a\r\n\r\n"));
    exchanges.push_back(loop.take());
    ASSERT_NE(exchanges.back(), nullptr);
    EXPECT_EQ(loop.engine->find_in_hand(static_cast<std::uint32_t>(i + 1)), exchanges.back());
  }
  const auto shown = [&] {
    std::set<std::string> paths;
    for (const RequestInHand& request : loop.slot().in_hand) {
      if (request.started_ns != 0) paths.insert(request.path);
    }
    return paths;
  };
  const std::string first_hidden = "/" + std::to_string(kShownInHand);
  EXPECT_EQ(shown().size(), kShownInHand);
  EXPECT_FALSE(shown().contains(first_hidden));
  loop.answer(*exchanges[3], "");
  EXPECT_EQ(shown().size(), kShownInHand);
  EXPECT_TRUE(shown().contains(first_hidden)) << "the oldest of those that were not";
  EXPECT_EQ(loop.engine->find_in_hand(4), nullptr);
  exchanges.erase(exchanges.begin() + 3);
  for (Exchange* exchange : exchanges) loop.answer(*exchange, "");
  EXPECT_TRUE(shown().empty());
}

TEST(EngineLoop, WhatIsCancelledIsA503) {
  Loop loop;
  HttpClient client(loop.port);
  ASSERT_TRUE(client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
  Exchange* exchange = loop.take();
  ASSERT_NE(exchange, nullptr);
  exchange->note_cancelled();
  exchange->fail(500);
  loop.engine->finish(*exchange);
  EXPECT_EQ(client.receive().value_or(Answer{}).status, 503);
}

TEST(EngineLoop, HandsARequestOutBeforeItsBodyAndReadsThatWhenAsked) {
  Loop loop;
  HttpClient client(loop.port);
  ASSERT_TRUE(client.send(post(6) + "ab"));
  Exchange* exchange = loop.take();
  ASSERT_NE(exchange, nullptr);
  Observer observer;
  exchange->observe(&observer);
  EXPECT_FALSE(exchange->body_complete());
  EXPECT_EQ(exchange->body().memory(), "ab");
  exchange->body().clear();
  EXPECT_EQ(exchange->read_body(loop.lane), Exchange::Progress::Waiting);
  ASSERT_TRUE(client.send("cdef"));
  ASSERT_TRUE(loop.turn_until([&] { return observer.changes > 0; }));
  EXPECT_EQ(exchange->read_body(loop.lane), Exchange::Progress::Complete);
  EXPECT_EQ(exchange->body().memory(), "cdef");
  loop.answer(*exchange, "all");
  EXPECT_EQ(client.receive().value_or(Answer{}).body, "all");
  // The connection lives on.
  ASSERT_TRUE(client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
  ASSERT_NE(exchange = loop.take(), nullptr);
  loop.answer(*exchange, "next");
  EXPECT_EQ(client.receive().value_or(Answer{}).body, "next");
}

TEST(EngineLoop, ASmallBodyThatIsThereIsCompleteAtOnce) {
  Loop loop;
  HttpClient client(loop.port);
  ASSERT_TRUE(client.send(post(3) + "abc"));
  Exchange* exchange = loop.take();
  ASSERT_NE(exchange, nullptr);
  EXPECT_TRUE(exchange->body_complete());
  EXPECT_EQ(exchange->body().memory(), "abc");
  loop.answer(*exchange, "");
}

TEST(EngineLoop, InvitesAStreamedBodyWhenItIsAskedFor) {
  Loop loop;
  HttpClient client(loop.port);
  ASSERT_TRUE(client.send(post(3, "Expect: 100-continue\r\n")));
  Exchange* exchange = loop.take();
  ASSERT_NE(exchange, nullptr);
  EXPECT_EQ(exchange->read_body(loop.lane), Exchange::Progress::Waiting);
  EXPECT_EQ(client.receive(true).value_or(Answer{}).status, 100);
  ASSERT_TRUE(client.send("abc"));
  Observer observer;
  exchange->observe(&observer);
  ASSERT_TRUE(loop.turn_until([&] { return observer.changes > 0; }));
  EXPECT_EQ(exchange->read_body(loop.lane), Exchange::Progress::Complete);
  loop.answer(*exchange, "");
}

TEST(EngineLoop, ABodyThatNobodyReadEndsTheConnectionAndIsNoRequest) {
  Loop loop;
  HttpClient client(loop.port);
  ASSERT_TRUE(client.send(post(100) + "GET /smuggled HTTP/1.1\r\n"));
  Exchange* exchange = loop.take();
  ASSERT_NE(exchange, nullptr);
  loop.answer(*exchange, "no");
  EXPECT_EQ(client.receive().value_or(Answer{}).body, "no");
  ASSERT_TRUE(client.send("Host: a\r\n\r\n" + std::string(100, 'x')));
  client.end_sending();
  ASSERT_TRUE(loop.turn_until([&] { return loop.slot().connections == 0; }));
  EXPECT_TRUE(loop.taken.empty());
}

TEST(EngineLoop, AMalformedChunkEndsTheBody) {
  Loop loop;
  HttpClient client(loop.port);
  ASSERT_TRUE(
      client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"));
  Exchange* exchange = loop.take();
  ASSERT_NE(exchange, nullptr);
  EXPECT_EQ(exchange->body().memory(), "abc");
  Observer observer;
  exchange->observe(&observer);
  exchange->body().clear();
  ASSERT_TRUE(client.send("zz\r\n"));
  ASSERT_TRUE(loop.turn_until([&] { return observer.changes > 0; }));
  EXPECT_EQ(exchange->read_body(loop.lane), Exchange::Progress::Ended);
  exchange->fail(400);
  loop.engine->finish(*exchange);
  EXPECT_TRUE(loop.turn_until([&] { return loop.slot().connections == 0; }));
}

TEST(EngineLoop, TellsWhenTheClientHasGone) {
  Loop loop;
  auto client = std::make_unique<HttpClient>(loop.port);
  ASSERT_TRUE(client->send("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
  Exchange* exchange = loop.take();
  ASSERT_NE(exchange, nullptr);
  Observer observer;
  exchange->observe(&observer);
  EXPECT_FALSE(exchange->client_ended());
  client.reset();
  ASSERT_TRUE(loop.turn_until([&] { return observer.changes > 0; }));
  EXPECT_TRUE(exchange->client_ended());
  loop.answer(*exchange, "");
}

TEST(EngineLoop, ASlowReaderIsToldAboutWhenItHasRead) {
  Loop loop;
  HttpClient client(loop.port, 4096);
  ASSERT_TRUE(client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
  Exchange* exchange = loop.take();
  ASSERT_NE(exchange, nullptr);
  Observer observer;
  exchange->observe(&observer);
  exchange->response().start("200 OK");
  const std::string piece(1024 * 1024, 'x');
  for (int i = 0; i < 8; ++i) exchange->send(piece);
  EXPECT_GT(exchange->pending(), 0U);
  std::thread reader(
      [&] { EXPECT_EQ(client.receive().value_or(Answer{}).body.size(), 8 * piece.size()); });
  EXPECT_TRUE(loop.turn_until([&] { return exchange->pending() == 0; }));
  EXPECT_GT(observer.changes, 0);
  exchange->end();
  loop.engine->finish(*exchange);
  reader.join();
}

TEST(EngineLoop, TimersNeedNoOtherEvent) {
  message::Settings settings;
  settings.client_header_timeout_ms = 30;
  Loop loop(settings);
  HttpClient client(loop.port);
  ASSERT_TRUE(loop.turn_until([&] { return loop.slot().connections == 1; }));
  EXPECT_TRUE(loop.turn_until([&] { return loop.slot().connections == 0; }));
  EXPECT_TRUE(client.ended());
}

TEST(EngineLoop, LeavesClientsToTheSiblingsWhenItIsFull) {
  Loop loop;
  loop.engine->accept_clients(false);
  HttpClient client(loop.port);
  ASSERT_TRUE(client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
  loop.engine->wake();
  ASSERT_TRUE(loop.turn_until([&] { return loop.turns > 0; }));
  EXPECT_EQ(loop.slot().connections, 0U);
  loop.engine->accept_clients(true);
  Exchange* exchange = loop.take();
  ASSERT_NE(exchange, nullptr);
  loop.answer(*exchange, "");
}

TEST(EngineLoop, AnUpgradedConnectionCarriesRawBytesUntilItIsClosed) {
  Loop loop;
  HttpClient client(loop.port);
  ASSERT_TRUE(client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\nearly"));
  Exchange* exchange = loop.take();
  ASSERT_NE(exchange, nullptr);
  Observer observer;
  exchange->observe(&observer);
  exchange->send_raw("HTTP/1.1 101 Switching Protocols\r\n\r\n");
  loop.engine->upgrade(*exchange);
  EXPECT_EQ(loop.slot().busy, 0U);
  EXPECT_EQ(loop.slot().counters.requests, 1U);
  std::span<char> early = exchange->receive_raw(loop.lane);
  EXPECT_EQ(std::string_view(early.data(), early.size()), "early");
  EXPECT_TRUE(exchange->receive_raw(loop.lane).empty());
  ASSERT_TRUE(client.send("more"));
  ASSERT_TRUE(loop.turn_until([&] { return observer.changes > 0; }));
  std::span<char> more = exchange->receive_raw(loop.lane);
  EXPECT_EQ(std::string_view(more.data(), more.size()), "more");
  exchange->send_raw("bye");
  loop.engine->close_upgraded(*exchange);
  client.end_sending();
  EXPECT_TRUE(loop.turn_until([&] { return loop.slot().connections == 0; }));
  EXPECT_TRUE(client.rest().ends_with("\r\n\r\nbye"));
}

TEST(EngineLoop, ADetachedConnectionIsCountedUntilItIsClosedAndBringsNoEvents) {
  Loop loop;
  HttpClient client(loop.port);
  ASSERT_TRUE(client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\nearly"));
  Exchange* exchange = loop.take();
  ASSERT_NE(exchange, nullptr);
  Observer observer;
  exchange->observe(&observer);
  std::string received;
  UniqueFd socket = loop.engine->detach(*exchange, received);
  EXPECT_EQ(received, "early");
  EXPECT_EQ(loop.slot().busy, 0U);
  EXPECT_EQ(loop.slot().counters.requests, 1U);
  loop.engine->drain();
  EXPECT_FALSE(loop.engine->finished());
  ASSERT_TRUE(client.send("late"));
  ASSERT_TRUE(loop.turn_until([turns = loop.turns, &loop] {
    loop.engine->wake();
    return loop.turns > turns;
  }));
  EXPECT_EQ(observer.changes, 0);
  char bytes[8] = {};
  EXPECT_EQ(::read(socket.get(), bytes, sizeof(bytes)), 4);
  ASSERT_EQ(::write(socket.get(), "raw", 3), 3);
  socket.reset();
  EXPECT_EQ(client.rest(), "raw");
  EXPECT_EQ(loop.slot().connections, 1U);
  loop.engine->close_upgraded(*exchange);
  EXPECT_EQ(loop.slot().connections, 0U);
  EXPECT_TRUE(loop.engine->finished());
}

TEST(EngineLoop, AsksForPingsAndNoticesLatePongs) {
  message::Settings settings;
  settings.ws_ping_interval_ms = 20;
  settings.ws_ping_timeout_ms = 20;
  Loop loop(settings);
  HttpClient client(loop.port);
  ASSERT_TRUE(client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
  Exchange* exchange = loop.take();
  ASSERT_NE(exchange, nullptr);
  Observer observer;
  exchange->observe(&observer);
  loop.engine->upgrade(*exchange);
  exchange->await_ping();
  ASSERT_TRUE(loop.turn_until([&] { return observer.pings == 1; }));
  exchange->await_pong();
  EXPECT_TRUE(loop.turn_until([&] { return observer.late == 1; }));
  loop.engine->close_upgraded(*exchange);
}

}  // namespace
}  // namespace appd::engine
