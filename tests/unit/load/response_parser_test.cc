// The load client's parser: what it lets pass, and what it counts as malformed.
#include "tests/load/response_parser.h"

#include <gtest/gtest.h>

#include <string>

namespace appd::load {
namespace {

// Fed byte by byte, which must make no difference.
ResponseParser parse(std::string_view bytes) {
  ResponseParser parser;
  for (char byte : bytes) parser.feed(std::string_view(&byte, 1));
  ResponseParser whole;
  whole.feed(bytes);
  EXPECT_EQ(whole.complete(), parser.complete()) << bytes;
  EXPECT_EQ(whole.malformed(), parser.malformed()) << bytes;
  EXPECT_EQ(whole.response().body, parser.response().body) << bytes;
  return parser;
}

TEST(ResponseParser, ReadsALengthDelimitedBody) {
  auto parser = parse("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Request-Number: 7\r\n\r\nhello");
  ASSERT_TRUE(parser.complete()) << parser.fault();
  EXPECT_EQ(parser.response().status, 200);
  EXPECT_EQ(parser.response().body, "hello");
  EXPECT_TRUE(parser.response().keep_alive);
  EXPECT_EQ(*parser.response().field("x-request-number"), "7");
}

TEST(ResponseParser, ReadsChunksWithExtensionsAndTrailers) {
  auto parser = parse(
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n2\r\nde\r\n0\r\nX: "
      "y\r\n\r\n");
  ASSERT_TRUE(parser.complete()) << parser.fault();
  EXPECT_EQ(parser.response().body, "abcde");
}

TEST(ResponseParser, StopsAtTheEndOfTheFirstOfTwoAnswers) {
  std::string one = "HTTP/1.1 204 No Content\r\n\r\n";
  ResponseParser parser;
  EXPECT_EQ(parser.feed(one + one), one.size());
  EXPECT_TRUE(parser.complete());
}

TEST(ResponseParser, BodyWithoutFramingEndsWithTheConnection) {
  auto parser = parse("HTTP/1.1 200 OK\r\n\r\nuntil the end");
  EXPECT_FALSE(parser.complete());
  EXPECT_TRUE(parser.finish());
  EXPECT_FALSE(parser.response().keep_alive);
}

TEST(ResponseParser, EndWithinABodyIsNoEnd) {
  auto parser = parse("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel");
  EXPECT_FALSE(parser.finish());
}

TEST(ResponseParser, ConnectionCloseIsSeen) {
  EXPECT_FALSE(parse("HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 0\r\n\r\n")
                   .response()
                   .keep_alive);
  EXPECT_FALSE(parse("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n").response().keep_alive);
}

TEST(ResponseParser, InterimAnswersAreSkipped) {
  auto parser =
      parse("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n");
  ASSERT_TRUE(parser.complete()) << parser.fault();
  EXPECT_EQ(parser.response().status, 201);
}

TEST(ResponseParser, RefusesWhatALenientClientWouldLetPass) {
  for (std::string_view bytes : {
           "HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n",
           "HTTP/2 200 OK\r\n\r\n",
           "HTTP/1.1 2x0 OK\r\n\r\n",
           "HTTP/1.1 200 OK\r\nBad name: x\r\n\r\n",
           "HTTP/1.1 200 OK\r\nNo colon\r\n\r\n",
           "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
           "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
           "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
           "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
           "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
           "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
           "HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\n",
           "HTTP/1.1 101 Switching Protocols\r\n\r\n",
       }) {
    EXPECT_TRUE(parse(bytes).malformed()) << bytes;
  }
}

}  // namespace
}  // namespace appd::load
