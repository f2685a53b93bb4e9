// Who the client is behind proxies, and who can make us believe it.
#include <gtest/gtest.h>

#include "tests/unit/worker/engine_harness.h"
#include "worker/engine/origin.h"

namespace appd::engine {
namespace {

using test::Answer;
using test::HttpClient;

void answer_origin(Exchange& exchange) {
  Origin origin = origin_of(exchange.connection(), exchange.request());
  const Peer& peer = exchange.connection().peer();
  bool is_peer = origin.address == peer.address && origin.port == peer.port;
  EngineHarness::start(exchange, "200 OK");
  exchange.send_whole(
      (is_peer ? "peer" : std::string(origin.address) + " " + std::to_string(origin.port)) +
      (origin.secure ? " https" : " http"));
}

message::Settings trusting(const char* list) {
  message::Settings settings;
  settings.forwarded_allow_ips = list;
  return settings;
}

class EngineOrigin : public testing::Test {
 protected:
  std::string origin(std::string_view fields) {
    HttpClient client(engine_.port());
    EXPECT_TRUE(client.send("GET / HTTP/1.1\r\nHost: a\r\n" + std::string(fields) + "\r\n"));
    return client.receive().value_or(Answer{}).body;
  }
  EngineHarness engine_{answer_origin, trusting("127.0.0.1,10.0.0.0/8,2001:db8::/32")};
};

TEST_F(EngineOrigin, IsThePeerWhenNothingElseIsSaid) {
  EXPECT_EQ(origin(""), "peer http");
  EXPECT_EQ(origin("Forwarded: for=192.0.2.1;proto=https\r\n"), "peer http");
}

TEST_F(EngineOrigin, IsTheHopThatATrustedPeerNames) {
  EXPECT_EQ(origin("X-Forwarded-For: 192.0.2.1\r\n"), "192.0.2.1 0 http");
  EXPECT_EQ(origin("x-forwarded-for: 2001:DB9::1\r\nX-FORWARDED-PROTO: https\r\n"),
            "2001:DB9::1 0 https");
}

TEST_F(EngineOrigin, IsTheRightmostHopThatIsNotTrusted) {
  EXPECT_EQ(origin("X-Forwarded-For: 1.1.1.1, 192.0.2.1, 10.1.2.3 ,2001:db8::7\r\n"),
            "192.0.2.1 0 http");
  EXPECT_EQ(origin("X-Forwarded-For: 1.1.1.1, 192.0.2.1\r\nX-Forwarded-For: 10.0.0.1\r\n"),
            "192.0.2.1 0 http");
}

TEST_F(EngineOrigin, IsTheFirstHopWhenAllAreTrusted) {
  EXPECT_EQ(origin("X-Forwarded-For: 10.0.0.1, 10.0.0.2\r\n"), "10.0.0.1 0 http");
}

TEST_F(EngineOrigin, KnowsPortsAndBrackets) {
  EXPECT_EQ(origin("X-Forwarded-For: 192.0.2.1:4711\r\n"), "192.0.2.1 4711 http");
  EXPECT_EQ(origin("X-Forwarded-For: [2001:db9::1]:4711\r\n"), "2001:db9::1 4711 http");
  EXPECT_EQ(origin("X-Forwarded-For: [2001:db9::1]\r\n"), "2001:db9::1 0 http");
}

TEST_F(EngineOrigin, WhatIsNoAddressEndsTheSearch) {
  for (const char* hop : {"unknown", "_hidden", "", "1.2.3.4:x", "1.2.3.4:70000", "[::1", "[::1]x",
                          "1.2.3.4.5", "\"1.2.3.4\""}) {
    EXPECT_EQ(origin("X-Forwarded-For: " + std::string(hop) + "\r\n"), "peer http") << hop;
    EXPECT_EQ(origin("X-Forwarded-For: 8.8.8.8, " + std::string(hop) + ", 10.0.0.1\r\n"),
              "10.0.0.1 0 http")
        << hop;
  }
}

TEST_F(EngineOrigin, AProtocolIsBelievedWhenItIsSaidOnce) {
  EXPECT_EQ(origin("X-Forwarded-Proto: https\r\n"), "peer https");
  EXPECT_EQ(origin("X-Forwarded-Proto: wss\r\n"), "peer https");
  EXPECT_EQ(origin("X-Forwarded-Proto: http\r\n"), "peer http");
  EXPECT_EQ(origin("X-Forwarded-Proto: gopher\r\n"), "peer http");
  EXPECT_EQ(origin("X-Forwarded-Proto: https, http\r\n"), "peer http");
  EXPECT_EQ(origin("X-Forwarded-Proto: https\r\nX-Forwarded-Proto: https\r\n"), "peer http");
}

TEST(EngineOriginTrust, WhoIsNotTrustedSpeaksForNobody) {
  const std::string request =
      "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https\r\n\r\n";
  EngineHarness engine(answer_origin, trusting("10.0.0.0/8"));
  HttpClient client(engine.port());
  ASSERT_TRUE(client.send(request));
  EXPECT_EQ(client.receive().value_or(Answer{}).body, "peer http");
  engine.apply(trusting("*"));
  ASSERT_TRUE(client.send(request));
  EXPECT_EQ(client.receive().value_or(Answer{}).body, "192.0.2.1 0 https")
      << "on an open connection too";
  engine.apply(trusting(""));
  ASSERT_TRUE(client.send(request));
  EXPECT_EQ(client.receive().value_or(Answer{}).body, "peer http");
}

TEST(EngineOriginTrust, TheClientThatAProxyHeaderNamesIsTheOneToBeTrusted) {
  message::Settings settings = trusting("192.0.2.9");
  settings.proxy_protocol = "auto";
  EngineHarness engine(answer_origin, settings);
  const std::string request = "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 198.51.100.1\r\n\r\n";
  for (auto [from, seen] :
       {std::pair("192.0.2.9", "198.51.100.1 0 http"), std::pair("192.0.2.8", "peer http")}) {
    HttpClient client(engine.port());
    ASSERT_TRUE(client.send("PROXY TCP4 " + std::string(from) + " 10.0.0.1 1 2\r\n" + request));
    EXPECT_EQ(client.receive().value_or(Answer{}).body, seen);
  }
}

}  // namespace
}  // namespace appd::engine
