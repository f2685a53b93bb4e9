// A worker that is being asked for its health: it serves that question, and no client.
#include <gtest/gtest.h>
#include <sys/socket.h>

#include "tests/unit/worker/engine_harness.h"
#include "worker/net/socket_io.h"

namespace appd::engine {
namespace {

using test::HttpClient;

// An engine that takes no clients, turned by hand.
class EngineExclude : public testing::Test {
 protected:
  void make(message::Settings settings = {}) {
    auto scoreboard = Scoreboard::create();
    ASSERT_TRUE(scoreboard);
    scoreboard_ = std::move(scoreboard).value();
    std::vector<UniqueFd> listeners;
    listeners.push_back(listen_somewhere(port_));
    auto engine = Engine::create(std::move(listeners), {}, settings, scoreboard_.slot(0));
    ASSERT_TRUE(engine);
    engine_ = std::move(engine).value();
    engine_->exclude_clients();
  }
  void turn() {
    engine_->poll();
    while (Exchange* exchange = engine_->next(lane_)) {
      EngineHarness::answer_hello(*exchange);
      engine_->finish(*exchange);
    }
  }
  // One end is served by the engine.
  UniqueFd adopted() {
    int ends[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    engine_->adopt(UniqueFd(ends[1]));
    return UniqueFd(ends[0]);
  }
  std::string ask(const UniqueFd& end) {
    std::string_view request = "GET / HTTP/1.0\r\nHost: a\r\n\r\n";
    net::send_now(end.get(), request.data(), request.size());
    turn();
    char buffer[4096];
    ssize_t got = net::receive_now(end.get(), buffer, sizeof(buffer));
    return got > 0 ? std::string(buffer, static_cast<std::size_t>(got)) : "";
  }
  std::uint32_t connections() { return scoreboard_.slot(0).connections; }

  Scoreboard scoreboard_;
  std::uint16_t port_ = 0;
  std::unique_ptr<Engine> engine_;
  Lane lane_;
};

TEST_F(EngineExclude, ServesWhatIsAdoptedAndLeavesClientsInTheQueue) {
  make();
  HttpClient client(port_);
  EXPECT_TRUE(ask(adopted()).ends_with("hello"));
  EXPECT_EQ(connections(), 0U) << "the client still waits";
  engine_->admit_clients();
  turn();
  EXPECT_EQ(connections(), 1U);
}

TEST_F(EngineExclude, RoomForMoreDoesNotLetClientsIn) {
  make();
  HttpClient client(port_);
  engine_->accept_clients(false);
  engine_->accept_clients(true);
  turn();
  EXPECT_EQ(connections(), 0U);
}

TEST_F(EngineExclude, NobodyIsLetInToAFullHouse) {
  make();
  HttpClient client(port_);
  engine_->accept_clients(false);
  engine_->admit_clients();
  turn();
  EXPECT_EQ(connections(), 0U);
  engine_->accept_clients(true);
  turn();
  EXPECT_EQ(connections(), 1U);
}

TEST_F(EngineExclude, DrainingTakesNobodyFromTheQueue) {
  make();
  HttpClient client(port_);
  engine_->drain();
  turn();
  EXPECT_TRUE(engine_->finished());
}

TEST_F(EngineExclude, WhatIsAdoptedNeedsNoProxyHeader) {
  message::Settings settings;
  settings.proxy_protocol = "v1";
  settings.proxy_allow_ips = "*";
  make(settings);
  EXPECT_TRUE(ask(adopted()).ends_with("hello"));
}

}  // namespace
}  // namespace appd::engine
