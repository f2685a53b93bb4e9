// Connections that begin with a PROXY header, and those that should and do not.
#include <gtest/gtest.h>

#include "tests/unit/worker/engine_harness.h"

namespace appd::engine {
namespace {

using test::Answer;
using test::HttpClient;

const std::string kRequest = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const std::string kHeader = "PROXY TCP4 192.0.2.1 10.0.0.1 56324 443\r\n";

// Tells the client who it is.
void answer_peer(Exchange& exchange) {
  const Peer& peer = exchange.connection().peer();
  EngineHarness::start(exchange, "200 OK");
  exchange.send_whole(peer.address + " " + std::to_string(peer.port));
}

message::Settings settings_for(const char* mode, const char* allowed = "127.0.0.1") {
  message::Settings settings;
  settings.proxy_protocol = mode;
  settings.proxy_allow_ips = allowed;
  return settings;
}

Answer exchange_bytes(EngineHarness& engine, std::string_view bytes) {
  HttpClient client(engine.port());
  EXPECT_TRUE(client.send(bytes));
  return client.receive().value_or(Answer{});
}

TEST(EngineProxy, TheAnnouncedClientIsThePeerOfAllRequests) {
  EngineHarness engine(answer_peer, settings_for("v1"));
  HttpClient client(engine.port());
  ASSERT_TRUE(client.send(kHeader + kRequest + kRequest));
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(client.receive().value_or(Answer{}).body, "192.0.2.1 56324");
  }
  EXPECT_EQ(client.get("/").value_or(Answer{}).body, "192.0.2.1 56324");
}

TEST(EngineProxy, TakesAHeaderThatComesByteByByte) {
  EngineHarness engine(answer_peer, settings_for("auto"));
  HttpClient client(engine.port());
  for (char byte : kHeader + kRequest) ASSERT_TRUE(client.send({&byte, 1}));
  EXPECT_EQ(client.receive().value_or(Answer{}).body, "192.0.2.1 56324");
}

TEST(EngineProxy, TakesVersionTwo) {
  EngineHarness engine(answer_peer, settings_for("v2"));
  std::string header("\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x09\x0a\0\0\x01\x12\x67\0\x50",
                     28);
  EXPECT_EQ(exchange_bytes(engine, header + kRequest).body, "192.0.2.9 4711");
}

TEST(EngineProxy, AutoTakesConnectionsWithoutAHeaderToo) {
  EngineHarness engine(answer_peer, settings_for("auto"));
  EXPECT_TRUE(exchange_bytes(engine, kRequest).body.starts_with("127.0.0.1 "));
}

TEST(EngineProxy, UnknownLeavesThePeer) {
  EngineHarness engine(answer_peer, settings_for("v1"));
  EXPECT_TRUE(
      exchange_bytes(engine, "PROXY UNKNOWN\r\n" + kRequest).body.starts_with("127.0.0.1 "));
}

TEST(EngineProxy, RefusesAMissingOrMalformedHeader) {
  EngineHarness engine(answer_peer, settings_for("v1"));
  for (const std::string& bytes : {kRequest, "PROXY TCP4 no\r\n" + kRequest}) {
    HttpClient client(engine.port());
    ASSERT_TRUE(client.send(bytes));
    auto answer = client.receive().value_or(Answer{});
    EXPECT_EQ(answer.status, 400);
    EXPECT_TRUE(answer.closes());
    EXPECT_EQ(client.rest(), "") << "and nothing behind it is a request";
  }
}

TEST(EngineProxy, AHeaderFromElsewhereIsNoRequest) {
  EngineHarness engine(answer_peer, settings_for("auto", "10.0.0.0/8"));
  EXPECT_TRUE(exchange_bytes(engine, kRequest).body.starts_with("127.0.0.1 "));
  EXPECT_GE(exchange_bytes(engine, kHeader + kRequest).status, 400);
}

TEST(EngineProxy, OnlyOneHeaderIsTaken) {
  EngineHarness engine(answer_peer, settings_for("auto"));
  EXPECT_GE(exchange_bytes(engine, kHeader + kHeader + kRequest).status, 400);
}

TEST(EngineProxy, IsOffUnlessAskedFor) {
  EngineHarness engine(answer_peer);
  EXPECT_GE(exchange_bytes(engine, kHeader + kRequest).status, 400);
  engine.apply(settings_for("v1"));
  EXPECT_EQ(exchange_bytes(engine, kHeader + kRequest).body, "192.0.2.1 56324");
}

TEST(EngineProxy, CountsAgainstTheHeaderTimeout) {
  message::Settings settings = settings_for("v1");
  settings.client_header_timeout_ms = 50;
  EngineHarness engine(answer_peer, settings);
  EXPECT_EQ(exchange_bytes(engine, "PROXY TCP4 ").status, 408);
}

}  // namespace
}  // namespace appd::engine
