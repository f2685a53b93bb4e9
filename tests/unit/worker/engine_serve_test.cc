// Requests and answers over real sockets: keep-alive, pipelining, bodies, framing, slow readers.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/unit/worker/engine_harness.h"

namespace appd::engine {
namespace {

using test::Answer;
using test::HttpClient;

std::string get(std::string_view path = "/") {
  return "GET " + std::string(path) + " HTTP/1.1\r\nHost: a\r\n\r\n";
}

std::string body_of(HttpClient& client) { return client.receive().value_or(Answer{}).body; }

TEST(EngineServe, AnswersOneRequestAfterTheOtherOnAConnection) {
  EngineHarness engine;
  HttpClient client(engine.port());
  for (int i = 0; i < 3; ++i) EXPECT_EQ(client.get("/").value_or(Answer{}).body, "hello");
  EXPECT_EQ(engine.slot().connections, 1U);
}

TEST(EngineServe, AnswersPipelinedRequestsInOrder) {
  EngineHarness engine([](Exchange& exchange) {
    EngineHarness::start(exchange, "200 OK");
    exchange.send_whole(exchange.request().path);
  });
  HttpClient client(engine.port());
  ASSERT_TRUE(client.send(get("/1") + get("/2") + get("/3")));
  EXPECT_EQ(body_of(client), "/1");
  EXPECT_EQ(body_of(client), "/2");
  EXPECT_EQ(body_of(client), "/3");
}

TEST(EngineServe, AnswersARequestThatComesByteByByte) {
  EngineHarness engine;
  HttpClient client(engine.port());
  std::string bytes = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
  for (char byte : bytes) ASSERT_TRUE(client.send({&byte, 1}));
  EXPECT_EQ(body_of(client), "abc");
  EXPECT_EQ(client.get("/").value_or(Answer{}).body, "hello");
}

TEST(EngineServe, KeepsALargeBodyInAFile) {
  EngineHarness engine;
  HttpClient client(engine.port());
  std::string body(RequestBody::kMemory * 3, 'x');
  ASSERT_TRUE(client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: " +
                          std::to_string(body.size()) + "\r\n\r\n" + body));
  EXPECT_TRUE(body_of(client) == body);
}

TEST(EngineServe, InvitesABodyThatIsExpected) {
  EngineHarness engine;
  HttpClient client(engine.port());
  ASSERT_TRUE(client.send(
      "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"));
  EXPECT_EQ(client.receive().value_or(Answer{}).status, 100);
  ASSERT_TRUE(client.send("ok"));
  EXPECT_EQ(body_of(client), "ok");
}

TEST(EngineServe, DoesNotInviteABodyThatItWillNotTake) {
  message::Settings settings;
  settings.limit_request_body = 10;
  EngineHarness engine(EngineHarness::answer_hello, settings);
  HttpClient client(engine.port());
  ASSERT_TRUE(client.send(
      "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\nExpect: 100-continue\r\n\r\n"));
  auto answer = client.receive().value_or(Answer{});
  EXPECT_EQ(answer.status, 413);
  EXPECT_EQ(answer.body, "413 Body larger than 10 bytes (limit_request_body)\n");
}

TEST(EngineServe, DoesNotInviteABodyThatIsThereAlready) {
  EngineHarness engine;
  HttpClient client(engine.port());
  ASSERT_TRUE(client.send(
      "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\nok"));
  EXPECT_EQ(body_of(client), "ok");
}

TEST(EngineServe, AnswersAClientThatHasEndedItsSide) {
  EngineHarness engine;
  HttpClient client(engine.port());
  ASSERT_TRUE(client.send(get()));
  client.end_sending();
  EXPECT_EQ(body_of(client), "hello");
  EXPECT_TRUE(client.ended());
}

TEST(EngineServe, TheAnswerToARefusedRequestArrivesAlthoughInputIsLeft) {
  EngineHarness engine;
  HttpClient client(engine.port());
  client.send("GET / HTTP/1.1\r\nHost: a\r\nX: y\n\r\n" + std::string(500'000, 'x'));
  auto answer = client.receive().value_or(Answer{});
  EXPECT_EQ(answer.status, 400);
  EXPECT_TRUE(answer.closes());
  EXPECT_EQ(client.rest(), "");
}

TEST(EngineServe, ClosesForHttp10AndOnRequest) {
  EngineHarness engine;
  for (const char* bytes :
       {"GET / HTTP/1.0\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"}) {
    HttpClient client(engine.port());
    ASSERT_TRUE(client.send(bytes));
    EXPECT_EQ(body_of(client), "hello");
    EXPECT_TRUE(client.ended());
  }
}

TEST(EngineServe, SendsChunksAsTheyCome) {
  EngineHarness engine([](Exchange& exchange) {
    EngineHarness::start(exchange, "200 OK");
    for (const char* chunk : {"a", "", "bc"}) exchange.send(chunk);
    exchange.send(std::string(100'000, 'x'));
    exchange.end();
  });
  HttpClient client(engine.port());
  for (int i = 0; i < 2; ++i) {
    auto answer = client.get("/").value_or(Answer{});
    EXPECT_NE(answer.head.find("Transfer-Encoding: chunked"), std::string::npos);
    EXPECT_TRUE(answer.body == "abc" + std::string(100'000, 'x'));
  }
  ASSERT_TRUE(client.send("GET / HTTP/1.0\r\n\r\n"));
  EXPECT_TRUE(client.rest().ends_with("\r\n\r\nabc" + std::string(100'000, 'x')))
      << "until close, for HTTP/1.0";
}

TEST(EngineServe, CutsWhatIsMoreThanContentLength) {
  std::atomic<std::uint64_t> excess = 0;
  EngineHarness engine([&](Exchange& exchange) {
    EngineHarness::start(exchange, "200 OK", {{"Content-Length", "3"}});
    exchange.send("ab");
    exchange.send("cde");
    exchange.end();
    excess = exchange.excess();
  });
  HttpClient client(engine.port());
  EXPECT_EQ(client.get("/").value_or(Answer{}).body, "abc");
  EXPECT_EQ(client.get("/").value_or(Answer{}).body, "abc");
  EXPECT_EQ(excess, 2U);
}

TEST(EngineServe, BreaksTheConnectionWhenLessThanContentLengthComes) {
  EngineHarness engine([](Exchange& exchange) {
    EngineHarness::start(exchange, "200 OK", {{"Content-Length", "3"}});
    exchange.send("ab");
    exchange.end();
  });
  HttpClient client(engine.port());
  EXPECT_FALSE(client.get("/").has_value());
}

TEST(EngineServe, BreaksTheConnectionWhenAnAnswerFailsMidway) {
  EngineHarness engine([](Exchange& exchange) {
    EngineHarness::start(exchange, "200 OK");
    exchange.send("ab");
    exchange.fail(500);
  });
  HttpClient client(engine.port());
  EXPECT_FALSE(client.get("/").has_value())
      << "no last chunk: the client sees that it is not whole";
}

TEST(EngineServe, SendsNoBodyToHead) {
  EngineHarness engine;
  HttpClient client(engine.port());
  ASSERT_TRUE(client.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n" + get()));
  auto head = client.receive(true).value_or(Answer{});
  EXPECT_NE(head.head.find("Content-Length: 5"), std::string::npos);
  EXPECT_EQ(body_of(client), "hello");
}

TEST(EngineServe, ASlowReaderDoesNotHoldTheGateway) {
  std::string large(16 << 20, 'x');
  EngineHarness engine([&](Exchange& exchange) {
    EngineHarness::start(exchange, "200 OK");
    exchange.send_whole(exchange.request().path == "/large" ? large : "small");
  });
  HttpClient slow(engine.port(), 4096);
  ASSERT_TRUE(slow.send(get("/large")));
  while (engine.slot().counters.requests == 0) std::this_thread::yield();
  EXPECT_EQ(test::fetch(engine.port(), "/").body, "small");
  EXPECT_TRUE(body_of(slow) == large);
  EXPECT_EQ(slow.get("/").value_or(Answer{}).body, "small");
}

// Answers with the file, from byte 1 on.
EngineHarness::Handler answer_with(const UniqueFd& file, std::uint64_t size) {
  return [&file, size](Exchange& exchange) {
    EngineHarness::start(exchange, "200 OK");
    if (exchange.request().path == "/three") exchange.response().add("Content-Length", "3");
    exchange.send_file({UniqueFd(::dup(file.get())), 1, size - 1});
  };
}

UniqueFd file_of(std::string_view bytes) {
  UniqueFd file(::memfd_create("engine-test", MFD_CLOEXEC));
  EXPECT_EQ(::write(file.get(), bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  return file;
}

TEST(EngineServe, SendsAFileWithItsLength) {
  UniqueFd file = file_of("0123456789");
  EngineHarness engine(answer_with(file, 10));
  HttpClient client(engine.port());
  auto answer = client.get("/").value_or(Answer{});
  EXPECT_EQ(answer.body, "123456789");
  EXPECT_NE(answer.head.find("Content-Length: 9"), std::string::npos);
  EXPECT_EQ(client.get("/three").value_or(Answer{}).body, "123") << "no more than Content-Length";
  ASSERT_TRUE(client.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n" + get()));
  EXPECT_NE(client.receive(true).value_or(Answer{}).head.find("Content-Length: 9"),
            std::string::npos);
  EXPECT_EQ(body_of(client), "123456789") << "HEAD had no body";
}

TEST(EngineServe, SendsLargeFilesToSlowAndFastReadersSideBySide) {
  std::string content(24 << 20, '\0');
  for (std::size_t i = 0; i < content.size(); ++i) content[i] = static_cast<char>(i * 7 / 1000);
  UniqueFd file = file_of(content);
  EngineHarness engine(answer_with(file, content.size()));
  HttpClient slow(engine.port(), 4096);
  ASSERT_TRUE(slow.send(get()));
  while (engine.slot().counters.requests == 0) std::this_thread::yield();
  EXPECT_TRUE(test::fetch(engine.port(), "/").body == content.substr(1));
  EXPECT_TRUE(body_of(slow) == content.substr(1));
  EXPECT_EQ(slow.get("/three").value_or(Answer{}).body, content.substr(1, 3));
}

TEST(EngineServe, BreaksTheConnectionWhenAFileIsShorterThanItsLength) {
  UniqueFd file = file_of("0123456789");
  EngineHarness engine([&](Exchange& exchange) {
    EngineHarness::start(exchange, "200 OK", {{"Content-Length", "11"}});
    exchange.send_file({UniqueFd(::dup(file.get())), 0, 10});
  });
  HttpClient client(engine.port());
  EXPECT_FALSE(client.get("/").has_value());
}

TEST(EngineServe, SendsInterimAnswersBeforeTheAnswerButNotToHttp10) {
  EngineHarness engine([](Exchange& exchange) {
    http::ResponseHead hints;
    hints.start("103 Early Hints");
    hints.add("Link", "</a.css>; rel=preload");
    hints.add("Content-Length", "5");
    exchange.send_interim(hints);
    EngineHarness::start(exchange, "200 OK");
    exchange.send("hel");
    exchange.send_interim(hints);
    exchange.send("lo");
    exchange.end();
  });
  HttpClient client(engine.port());
  auto hints = client.get("/").value_or(Answer{});
  EXPECT_EQ(hints.head, "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n");
  EXPECT_EQ(body_of(client), "hello");
  HttpClient old(engine.port());
  ASSERT_TRUE(old.send("GET / HTTP/1.0\r\n\r\n"));
  EXPECT_TRUE(old.rest().starts_with("HTTP/1.1 200 OK\r\n"));
}

TEST(EngineServe, TellsTheGatewayThatAClientIsGone) {
  std::atomic<bool> gone = false;
  EngineHarness engine([&](Exchange& exchange) {
    EngineHarness::start(exchange, "200 OK");
    std::string chunk(1 << 16, 'x');
    while (exchange.send(chunk)) {
    }
    gone = exchange.gone();
  });
  {
    HttpClient client(engine.port());
    ASSERT_TRUE(client.send(get()));
    ASSERT_TRUE(client.receive(true).has_value());
  }
  while (!gone) std::this_thread::yield();
}

TEST(EngineServe, WritesTheScoreboard) {
  EngineHarness engine([](Exchange& exchange) {
    EngineHarness::start(exchange, exchange.request().path == "/bad" ? "500 Oh" : "200 OK");
    exchange.send_whole("x");
  });
  HttpClient client(engine.port());
  client.get("/good?x=1");
  client.get("/bad");
  while (engine.slot().counters.requests < 2) std::this_thread::yield();
  EXPECT_EQ(errors(read(engine.slot().counters)), 1U);
  EXPECT_EQ(engine.slot().busy, 0U);
  EXPECT_EQ(engine.slot().started_ns, 0U);
  EXPECT_STREQ(engine.slot().in_hand[0].method, "GET");
  EXPECT_STREQ(engine.slot().in_hand[0].path, "/bad");
  EXPECT_EQ(engine.slot().in_hand[0].number, 2U) << "the worker's second";
  EXPECT_GT(engine.slot().counters.bytes_in, 0U);
  EXPECT_GT(engine.slot().counters.bytes_out, 0U);
  std::uint64_t counted = 0;
  for (const auto& bucket : engine.slot().counters.latency) counted += bucket;
  EXPECT_EQ(counted, 2U);
}

TEST(EngineServe, AnAnswerThatWasHeldIsWholeWhateverEndsIt) {
  EngineHarness harness([](Exchange& exchange) {
    EngineHarness::start(exchange, "200 OK");
    exchange.hold();
    exchange.send("some ");
    exchange.send("pieces");
    if (exchange.request().path == "/end") exchange.end();
    if (exchange.request().path == "/release") exchange.release();
    exchange.end();
  });
  HttpClient client(harness.port());
  for (const char* path : {"/end", "/release", "/"}) {
    EXPECT_NE(client.get(path).value_or(Answer{}).body.find("some "), std::string::npos) << path;
  }
}

TEST(EngineServe, WhatWasHeldIsSeenBeforeAnAnswerIsBrokenOff) {
  EngineHarness harness([](Exchange& exchange) {
    EngineHarness::start(exchange, "200 OK", {{"Content-Length", "100"}});
    exchange.hold();
    exchange.send("the beginning");
    exchange.fail(500);
  });
  HttpClient client(harness.port());
  ASSERT_TRUE(client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
  EXPECT_TRUE(client.rest().ends_with("the beginning"));
}

}  // namespace
}  // namespace appd::engine
