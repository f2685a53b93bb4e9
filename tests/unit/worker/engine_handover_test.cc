// Clients that one engine has no time for, and another takes. Both are turned by the test.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>

#include <algorithm>

#include "tests/support/eventually.h"
#include "tests/unit/worker/engine_harness.h"

namespace appd::engine {
namespace {

using test::Answer;
using test::eventually;
using test::HttpClient;

constexpr std::string_view kRequest = "GET /work HTTP/1.1\r\nHost: a\r\n\r\n";

// What the workers of a rollout share.
struct Pool {
  ScoreboardHeader common = {};
  Handover handover = Handover::create(common).value();
  Scoreboard scoreboard = Scoreboard::create().value();
  std::uint32_t next = 0;

  // As a fork inherits it.
  Handover inherited() {
    auto [in, out] = handover.descriptors();
    return Handover(UniqueFd(::fcntl(in, F_DUPFD_CLOEXEC, 0)),
                    UniqueFd(::fcntl(out, F_DUPFD_CLOEXEC, 0)), common);
  }
};

// A worker of one thread. Without a port it gets only what the other gives away.
class Worker {
 public:
  explicit Worker(Pool& pool, bool listens = true, const message::Settings& settings = {})
      : slot(pool.scoreboard.slot(pool.next++)) {
    std::vector<UniqueFd> listeners;
    if (listens) listeners.push_back(listen_somewhere(port));
    engine = Engine::create(std::move(listeners), pool.inherited(), settings, slot).value();
    fd_ = engine->poll_fd().value();
  }

  // The next request, and no more of the engine than that takes.
  Exchange* take() {
    Exchange* taken = nullptr;
    eventually([&] {
      taken = engine->next(lane);
      if (taken == nullptr) turn();
      return taken != nullptr;
    });
    return taken;
  }
  // Whether clients wait that a sibling could serve.
  bool clients_wait() const {
    pollfd waiting{engine->waiting_fd(), POLLIN, 0};
    return ::poll(&waiting, 1, 0) == 1;
  }
  // As the monitor does it, once clients wait.
  bool give_away() {
    if (!eventually([this] { return clients_wait(); })) return false;
    engine->give_away();
    return true;
  }
  void answer(Exchange& exchange, std::string_view body) {
    exchange.response().start("200 OK");
    exchange.send_whole(body);
    engine->finish(exchange);
  }
  // Takes one request and answers it.
  bool serve(std::string_view body) {
    Exchange* exchange = take();
    if (exchange != nullptr) answer(*exchange, body);
    return exchange != nullptr;
  }

  std::uint16_t port = 0;
  ScoreboardSlot& slot;
  std::unique_ptr<Engine> engine;
  Lane lane;

 private:
  void turn() {
    pollfd readable{fd_, POLLIN, 0};
    if (::poll(&readable, 1, 10) == 1) engine->poll();
  }

  int fd_ = -1;
};

class EngineHandover : public testing::Test {
 protected:
  Pool pool;
  Worker busy{pool};
  Worker idle{pool, false};

  // Keeps `busy` in the app.
  Exchange* hold_up(HttpClient& client) {
    client.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
    return busy.take();
  }
  std::string body_of(HttpClient& client) { return client.receive().value_or(Answer{}).body; }
};

TEST_F(EngineHandover, AnIdleConnectionThatAsksForSomethingIsServedByASibling) {
  HttpClient quick(busy.port);
  ASSERT_TRUE(quick.send(kRequest));
  ASSERT_TRUE(busy.serve("from the first"));
  ASSERT_EQ(body_of(quick), "from the first");
  HttpClient slow(busy.port);
  Exchange* in_hand = hold_up(slow);
  ASSERT_NE(in_hand, nullptr);
  ASSERT_TRUE(quick.send(kRequest));
  ASSERT_TRUE(busy.give_away());
  ASSERT_TRUE(idle.serve("from the second"));
  EXPECT_EQ(body_of(quick), "from the second");
  busy.answer(*in_hand, "at last");
  EXPECT_EQ(body_of(slow), "at last");
  // It stays where it was served.
  ASSERT_TRUE(quick.send(kRequest));
  ASSERT_TRUE(idle.serve("again"));
  EXPECT_EQ(body_of(quick), "again");
  EXPECT_TRUE(eventually([&] {
    busy.engine->poll();
    return busy.slot.connections == 1U;
  }));
  EXPECT_EQ(idle.slot.connections, 1U);
}

TEST_F(EngineHandover, ANewConnectionThatWasAcceptedButNotReadIsServedByASibling) {
  HttpClient slow(busy.port);
  HttpClient fresh(busy.port);
  ASSERT_TRUE(fresh.connected());
  Exchange* in_hand = hold_up(slow);
  ASSERT_NE(in_hand, nullptr);
  ASSERT_TRUE(eventually([&] { return busy.slot.connections == 2U; }));
  ASSERT_TRUE(fresh.send(kRequest));
  ASSERT_TRUE(busy.give_away());
  ASSERT_TRUE(idle.serve("second"));
  EXPECT_EQ(body_of(fresh), "second");
  busy.answer(*in_hand, "");
}

TEST_F(EngineHandover, ADetachedConnectionIsNotGivenAwayWhateverItSends) {
  HttpClient client(busy.port);
  ASSERT_TRUE(client.send(kRequest));
  ASSERT_TRUE(busy.serve("kept"));
  ASSERT_EQ(body_of(client), "kept");
  ASSERT_TRUE(client.send(kRequest));
  Exchange* exchange = busy.take();
  ASSERT_NE(exchange, nullptr);
  std::string received;
  UniqueFd socket = busy.engine->detach(*exchange, received);
  ASSERT_TRUE(client.send(kRequest));
  pollfd readable{socket.get(), POLLIN, 0};
  ASSERT_EQ(::poll(&readable, 1, 5000), 1);
  EXPECT_FALSE(busy.clients_wait());
  busy.engine->give_away();
  socket.reset();
  busy.engine->close_upgraded(*exchange);
  EXPECT_EQ(busy.slot.connections, 0U);
  EXPECT_EQ(idle.engine->next(idle.lane), nullptr);
}

// Both have asked when the engine looks: the second waits in its list of turns.
TEST_F(EngineHandover, ARequestThatCameInTheSameBatchDoesNotWaitForTheOneBeforeIt) {
  HttpClient one(busy.port);
  HttpClient two(busy.port);
  for (HttpClient* client : {&one, &two}) {
    ASSERT_TRUE(client->send(kRequest));
    ASSERT_TRUE(busy.serve("first"));
    ASSERT_EQ(body_of(*client), "first");
  }
  ASSERT_TRUE(one.send(kRequest));
  ASSERT_TRUE(two.send(kRequest));
  Exchange* in_hand = nullptr;
  ASSERT_TRUE(eventually([&] { return busy.clients_wait(); }));
  ASSERT_NE(in_hand = busy.take(), nullptr);
  ASSERT_TRUE(busy.give_away());
  ASSERT_TRUE(idle.serve("second"));
  busy.answer(*in_hand, "first");
  std::vector<std::string> bodies{body_of(one), body_of(two)};
  std::sort(bodies.begin(), bodies.end());
  EXPECT_EQ(bodies, (std::vector<std::string>{"first", "second"}));
}

TEST_F(EngineHandover, ARequestOfWhichSomethingWasReadStays) {
  HttpClient slow(busy.port);
  HttpClient partial(busy.port);
  ASSERT_TRUE(partial.send("GET /half HTTP/1.1\r\n"));
  ASSERT_TRUE(eventually([&] {
    busy.engine->poll();
    return busy.engine->next(busy.lane) == nullptr && busy.slot.counters.bytes_in > 0;
  }));
  Exchange* in_hand = hold_up(slow);
  ASSERT_NE(in_hand, nullptr);
  ASSERT_TRUE(partial.send("Host: a\r\n\r\n"));
  busy.give_away();
  EXPECT_FALSE(pool.handover.take().has_value());
  busy.answer(*in_hand, "");
  EXPECT_TRUE(busy.serve("here"));
  EXPECT_EQ(body_of(partial), "here");
}

// A descriptor that stayed behind would keep the connection open until the busy worker is back.
TEST_F(EngineHandover, AConnectionThatTheSiblingClosesIsClosed) {
  HttpClient slow(busy.port);
  HttpClient closing(busy.port);
  Exchange* in_hand = hold_up(slow);
  ASSERT_NE(in_hand, nullptr);
  ASSERT_TRUE(closing.send("GET / HTTP/1.0\r\n\r\n"));
  ASSERT_TRUE(busy.give_away());
  ASSERT_TRUE(idle.serve("bye"));
  EXPECT_EQ(body_of(closing), "bye");
  EXPECT_TRUE(closing.ended());
  busy.answer(*in_hand, "");
}

TEST_F(EngineHandover, TheAddressThatAProxyHasNamedGoesWithTheConnection) {
  message::Settings settings;
  settings.proxy_protocol = "v1";
  Worker behind_proxy(pool, true, settings);
  Worker sibling(pool, false, settings);
  HttpClient client(behind_proxy.port);
  ASSERT_TRUE(client.send("PROXY TCP4 192.0.2.7 198.51.100.1 4711 80\r\n" + std::string(kRequest)));
  ASSERT_TRUE(behind_proxy.serve("first"));
  ASSERT_EQ(body_of(client), "first");
  ASSERT_TRUE(client.send(kRequest));
  ASSERT_TRUE(behind_proxy.give_away());
  Exchange* exchange = sibling.take();
  ASSERT_NE(exchange, nullptr);
  EXPECT_EQ(exchange->connection().peer().address, "192.0.2.7");
  EXPECT_EQ(exchange->connection().peer().port, 4711);
  sibling.answer(*exchange, "second");
  EXPECT_EQ(body_of(client), "second");
}

TEST_F(EngineHandover, WhatNobodyElseTakesIsServedBeforeADrainedWorkerEnds) {
  HttpClient slow(busy.port);
  HttpClient quick(busy.port);
  Exchange* in_hand = hold_up(slow);
  ASSERT_NE(in_hand, nullptr);
  ASSERT_TRUE(quick.send(kRequest));
  ASSERT_TRUE(busy.give_away());
  idle.engine->drain();
  busy.engine->drain();
  busy.answer(*in_hand, "");
  EXPECT_TRUE(body_of(slow).empty());
  EXPECT_TRUE(eventually([&] {
    while (Exchange* exchange = busy.engine->next(busy.lane)) busy.answer(*exchange, "taken back");
    busy.engine->poll();
    return busy.engine->finished();
  }));
  EXPECT_EQ(body_of(quick), "taken back");
}

TEST_F(EngineHandover, ADrainedWorkerLeavesTheQueueToThoseThatStay) {
  HttpClient slow(busy.port);
  HttpClient quick(busy.port);
  Exchange* in_hand = hold_up(slow);
  ASSERT_NE(in_hand, nullptr);
  ASSERT_TRUE(quick.send(kRequest));
  ASSERT_TRUE(busy.give_away());
  busy.engine->drain();
  busy.answer(*in_hand, "");
  EXPECT_TRUE(eventually([&] {
    busy.engine->poll();
    return busy.engine->next(busy.lane) == nullptr && busy.engine->finished();
  }));
  EXPECT_TRUE(idle.serve("by the one that stays"));
  EXPECT_EQ(body_of(quick), "by the one that stays");
}

TEST_F(EngineHandover, WithTheQueueFullClientsStay) {
  HttpClient slow(busy.port);
  HttpClient quick(busy.port);
  Exchange* in_hand = hold_up(slow);
  ASSERT_NE(in_hand, nullptr);
  UniqueFd some_socket(::fcntl(pool.handover.descriptors()[0], F_DUPFD_CLOEXEC, 0));
  Client filler{std::move(some_socket), {}, 0, true};
  while (pool.handover.put(filler)) {
  }
  ASSERT_TRUE(quick.send(kRequest));
  ASSERT_TRUE(busy.give_away());
  busy.answer(*in_hand, "");
  while (pool.handover.take()) {
  }
  EXPECT_TRUE(busy.serve("here"));
  EXPECT_EQ(body_of(quick), "here");
}

TEST_F(EngineHandover, WhenClientsAreSpreadThoseFromBeforeAreSentToFindTheirWorkerOnce) {
  auto answer_to = [&](HttpClient& client) {
    EXPECT_TRUE(client.send(kRequest));
    EXPECT_TRUE(busy.serve("served"));
    return client.receive().value_or(Answer{});
  };
  HttpClient before(busy.port);
  EXPECT_FALSE(answer_to(before).closes());
  pool.common.take_turns = 1;
  busy.engine->note_turns();
  EXPECT_TRUE(answer_to(before).closes());
  EXPECT_TRUE(before.ended());
  HttpClient since(busy.port);
  EXPECT_FALSE(answer_to(since).closes());
  EXPECT_FALSE(answer_to(since).closes());
  pool.common.take_turns = 0;
  busy.engine->note_turns();
  EXPECT_FALSE(answer_to(since).closes());
  pool.common.take_turns = 1;  // for the next canary
  busy.engine->note_turns();
  EXPECT_TRUE(answer_to(since).closes());
}

TEST_F(EngineHandover, WhoHasAskedForMoreAlreadyIsNotSentAway) {
  HttpClient client(busy.port);
  pool.common.take_turns = 1;
  ASSERT_TRUE(client.send(kRequest));
  Exchange* first = busy.take();
  ASSERT_NE(first, nullptr);
  busy.engine->note_turns();
  busy.answer(*first, "1");
  EXPECT_TRUE(client.receive().value_or(Answer{}).closes());
  HttpClient pipelining(busy.port);
  pool.common.take_turns = 0;
  busy.engine->note_turns();
  ASSERT_TRUE(pipelining.send(std::string(kRequest) + std::string(kRequest)));
  first = busy.take();
  ASSERT_NE(first, nullptr);
  pool.common.take_turns = 1;
  busy.engine->note_turns();
  busy.answer(*first, "1");
  EXPECT_FALSE(pipelining.receive().value_or(Answer{}).closes());
  ASSERT_TRUE(busy.serve("2"));
  EXPECT_TRUE(pipelining.receive().value_or(Answer{}).closes());
}

TEST_F(EngineHandover, AWorkerThatIsAloneGivesNothingAway) {
  idle.engine->drain();
  HttpClient slow(busy.port);
  HttpClient quick(busy.port);
  Exchange* in_hand = hold_up(slow);
  ASSERT_NE(in_hand, nullptr);
  ASSERT_TRUE(quick.send(kRequest));
  busy.engine->poll();
  EXPECT_FALSE(busy.clients_wait());
  busy.answer(*in_hand, "");
  EXPECT_TRUE(busy.serve("here"));
}

TEST_F(EngineHandover, AConnectionThatHasEndedIsNotGivenAway) {
  HttpClient slow(busy.port);
  auto ending = std::make_unique<HttpClient>(busy.port);
  Exchange* in_hand = hold_up(slow);
  ASSERT_NE(in_hand, nullptr);
  ASSERT_TRUE(eventually([&] { return busy.slot.connections == 2U; }));
  ending.reset();
  ASSERT_TRUE(busy.give_away());
  EXPECT_FALSE(pool.handover.take().has_value());
  busy.answer(*in_hand, "");
}

TEST_F(EngineHandover, ANudgeBringsNoClientAndIsToldApart) {
  bool nudged = false;
  EXPECT_FALSE(pool.handover.take(&nudged));
  EXPECT_FALSE(nudged);
  pool.handover.nudge();
  EXPECT_FALSE(pool.handover.take(&nudged));
  EXPECT_TRUE(nudged);
}

}  // namespace
}  // namespace appd::engine
