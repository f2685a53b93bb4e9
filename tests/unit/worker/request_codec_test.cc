// What a request becomes, and the rules that need more than one file of the corpus.
#include "worker/http/request_codec.h"

#include <gtest/gtest.h>

#include "tests/unit/worker/codec_trace.h"

namespace appd::http {
namespace {

std::string request(std::string_view line, std::string_view fields = "") {
  return std::string(line) + "\r\nHost: a\r\n" + std::string(fields) + "\r\n";
}

bool has_event(const Trace& trace, std::string_view part) {
  return trace.events.find(part) != std::string::npos;
}

TEST(RequestCodec, SplitsTheTarget) {
  Trace got = trace(request("GET /a%20b?c=d?e HTTP/1.1"));
  EXPECT_TRUE(has_event(got, "GET /a%20b?c=d?e path=/a%20b query=c=d?e host=a 1.1 keep-alive"))
      << got.events;
}

TEST(RequestCodec, TakesTheHostFromAnAbsoluteTarget) {
  EXPECT_TRUE(has_event(trace(request("GET http://b.org:81/x?y HTTP/1.1")),
                        "path=/x query=y host=b.org:81"));
  EXPECT_TRUE(has_event(trace(request("GET HTTP://b.org HTTP/1.1")), "path=/ query= host=b.org"));
  EXPECT_TRUE(has_event(trace(request("GET http://b.org?q HTTP/1.1")), "path=/ query=q"));
}

TEST(RequestCodec, TrimsFieldValues) {
  EXPECT_TRUE(
      has_event(trace(request("GET / HTTP/1.1", "X: \t a b \t \r\nY:\r\n")), "[X=a b] [Y=]"));
}

TEST(RequestCodec, KnowsWhoKeepsTheConnection) {
  EXPECT_TRUE(has_event(trace(request("GET / HTTP/1.1")), "1.1 keep-alive"));
  EXPECT_FALSE(has_event(trace(request("GET / HTTP/1.1", "Connection: close\r\n")), "keep-alive "));
  EXPECT_FALSE(has_event(trace(request("GET / HTTP/1.0")), "keep-alive"));
  EXPECT_TRUE(
      has_event(trace(request("GET / HTTP/1.0", "Connection: Keep-Alive\r\n")), "1.0 keep-alive"));
}

TEST(RequestCodec, IgnoresExpectInHttp10) {
  Trace got = trace("POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\na");
  EXPECT_FALSE(has_event(got, "expects"));
  EXPECT_EQ(got.complete, 1);
}

TEST(RequestCodec, RefusesEveryControlCharacterEverywhereInAHead) {
  for (int byte = 0; byte < 256; ++byte) {
    bool control = (byte < 0x20 && byte != '\t' && byte != '\r' && byte != '\n') || byte == 0x7f;
    if (!control) continue;
    std::string c(1, static_cast<char>(byte));
    for (const std::string& bytes :
         {request("GE" + c + "T / HTTP/1.1"), request("GET /" + c + " HTTP/1.1"),
          request("GET / HTTP/1." + c), request("GET / HTTP/1.1", "X" + c + ": y\r\n"),
          request("GET / HTTP/1.1", "X: " + c + "y\r\n"),
          request("GET / HTTP/1.1", "X: y" + c + "\r\n"),
          request("GET / HTTP/1.1", "Connection: cl" + c + "ose\r\n"),
          request("GET / HTTP/1.1", "Upgrade: h2" + c + "\r\n"),
          request("POST / HTTP/1.1", "Transfer-Encoding: chunked" + c + "\r\n"),
          request("POST / HTTP/1.1", "Content-Length: 1" + c + "\r\n")}) {
      EXPECT_EQ(trace(bytes).status, 400) << "byte " << byte << " in " << bytes;
      EXPECT_EQ(trace(bytes).rule, control_character().rule) << "byte " << byte;
    }
  }
}

TEST(RequestCodec, TakesOnlyTokensAsFieldNames) {
  for (int byte = 0x20; byte < 256; ++byte) {
    if (byte == ':' || byte == 0x7f) continue;
    std::string name = std::string("X") + static_cast<char>(byte) + "Y";
    bool token = std::isalnum(byte) != 0 ||
                 (byte < 128 && std::string_view("!#$%&'*+-.^_`|~").find(static_cast<char>(byte)) !=
                                    std::string_view::npos);
    if (byte >= 128) token = false;
    EXPECT_EQ(trace(request("GET / HTTP/1.1", name + ": z\r\n")).status, token ? 0 : 400)
        << "byte " << byte;
  }
}

TEST(RequestCodec, NamesTheLimitThatIsBroken) {
  Limits limits;
  limits.request_line = 20;
  limits.fields = 2;
  limits.field_size = 10;
  limits.body = 3;
  EXPECT_EQ(trace(request("GET /123456 HTTP/1.1"), limits).status, 0) << "20 bytes are allowed";
  EXPECT_EQ(trace(request("GET /1234567 HTTP/1.1"), limits).rule,
            "Request line longer than 20 bytes (limit_request_line)");
  EXPECT_EQ(trace(request("GET / HTTP/1.1", "X: 3456789\r\n"), limits).status, 0);
  EXPECT_EQ(trace(request("GET / HTTP/1.1", "X: 34567890\r\n"), limits).rule,
            "Header field longer than 10 bytes (limit_request_field_size)");
  EXPECT_EQ(trace(request("GET / HTTP/1.1", "X: 1\r\nY: 2\r\n"), limits).rule,
            "More than 2 header fields (limit_request_fields)");
  EXPECT_EQ(trace("PUT / HTTP/1.0\r\nContent-Length: 4\r\n\r\n", {.body = 3}).rule,
            "Body larger than 3 bytes (limit_request_body)");
}

TEST(RequestCodec, CountsTheBytesOfAllChunksAgainstTheLimit) {
  std::string head = request("POST / HTTP/1.1", "Transfer-Encoding: chunked\r\n");
  EXPECT_EQ(trace(head + "2\r\nab\r\n1\r\nc\r\n0\r\n\r\n", {.body = 3}).complete, 1);
  EXPECT_EQ(trace(head + "2\r\nab\r\n2\r\n", {.body = 3}).status, 413);
}

TEST(RequestCodec, BoundsTheHeadWhenLimitsAreOff) {
  Limits off{0, 0, 0, 0};
  EXPECT_EQ(trace(request("GET / HTTP/1.1", "X: " + std::string(60'000, 'x') + "\r\n"), off).status,
            0);
  EXPECT_EQ(trace(request("GET / HTTP/1.1", "X: " + std::string(70'000, 'x') + "\r\n"), off).status,
            431);
  EXPECT_EQ(trace("GET /" + std::string(70'000, 'x'), off).status, 414);
}

TEST(RequestHead, OutlivesItsBytesOnceKept) {
  std::string bytes = request("GET http://b/x?y HTTP/1.1", "X: z\r\n");
  RequestHead head;
  Refusal refusal;
  ASSERT_TRUE(parse_head(bytes, {}, head, refusal));
  head.keep();
  bytes.assign(bytes.size(), '#');
  EXPECT_EQ(head.method, "GET");
  EXPECT_EQ(head.path, "/x");
  EXPECT_EQ(head.query, "y");
  EXPECT_EQ(head.host, "b");
  EXPECT_EQ(head.fields[1].value, "z");
}

}  // namespace
}  // namespace appd::http
