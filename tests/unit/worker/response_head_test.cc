// Framing of answers and what their heads say.
#include "worker/http/response_head.h"

#include <gtest/gtest.h>

namespace appd::http {
namespace {

constexpr std::string_view kDate = "Date: now\r\n";

ResponseHead head(
    std::string_view status,
    std::initializer_list<std::pair<std::string_view, std::string_view>> fields = {}) {
  ResponseHead made;
  made.start(status);
  for (const auto& [name, value] : fields) EXPECT_TRUE(made.add(name, value));
  return made;
}

TEST(ResponseHead, WritesStatusFieldsAndFraming) {
  ResponseHead made = head("200 OK", {{"Content-Type", "text/plain"}, {"Content-Length", "5"}});
  EXPECT_EQ(made.framing(false, false, {}), Framing::Length);
  EXPECT_EQ(made.finish(Framing::Length, true, false, kDate).view(),
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nServer: appd\r\nDate: now\r\n"
            "Content-Length: 5\r\n\r\n");
}

TEST(ResponseHead, IsChunkedWhenTheLengthIsUnknown) {
  EXPECT_EQ(head("200 OK").framing(false, false, {}), Framing::Chunked);
  EXPECT_EQ(head("200 OK").framing(false, true, {}), Framing::Close);
  EXPECT_EQ(head("200 OK").framing(false, false, 3), Framing::Length);
}

TEST(ResponseHead, HasNoBodyForHeadAndSomeStatuses) {
  EXPECT_EQ(head("200 OK").framing(true, false, 3), Framing::NoBody);
  EXPECT_EQ(head("204 No Content").framing(false, false, 3), Framing::NoBody);
  EXPECT_EQ(head("304 Not Modified").framing(false, false, 3), Framing::NoBody);
  ResponseHead made = head("204 No Content", {{"Content-Length", "0"}});
  EXPECT_EQ(made.finish(Framing::NoBody, true, false, kDate).view().find("Content-Length"),
            std::string_view::npos);
}

TEST(ResponseHead, DropsHopByHopFieldsButHearsClose) {
  ResponseHead made = head("200 OK", {{"Connection", "x, Close"},
                                      {"Transfer-Encoding", "chunked"},
                                      {"Keep-Alive", "timeout=5"},
                                      {"Upgrade", "h2c"},
                                      {"TE", "trailers"},
                                      {"Trailer", "X"}});
  EXPECT_TRUE(made.wants_close());
  EXPECT_EQ(made.finish(Framing::NoBody, false, false, kDate).view(),
            "HTTP/1.1 200 OK\r\nServer: appd\r\nDate: now\r\nConnection: close\r\n\r\n");
}

TEST(ResponseHead, KeepsTheAppsOwnDateAndServer) {
  ResponseHead made = head("200 OK", {{"date", "then"}, {"SERVER", "mine"}});
  EXPECT_EQ(made.finish(Framing::NoBody, true, false, kDate).view(),
            "HTTP/1.1 200 OK\r\ndate: then\r\nSERVER: mine\r\n\r\n");
}

TEST(ResponseHead, TellsHttp10ThatTheConnectionStays) {
  ResponseHead made = head("200 OK", {{"Content-Length", "0"}});
  EXPECT_NE(made.finish(Framing::Length, true, true, kDate).view().find("Connection: keep-alive"),
            std::string_view::npos);
}

TEST(ResponseHead, RefusesAContentLengthThatIsNoNumberOrComesTwice) {
  ResponseHead made = head("200 OK");
  for (const char* value : {"", "x", "-1", "+1", "1,1", "1 ", "99999999999999999999"}) {
    EXPECT_FALSE(made.add("Content-Length", value)) << value;
  }
  EXPECT_TRUE(made.add("Content-Length", "1"));
  EXPECT_FALSE(made.add("content-length", "1"));
}

TEST(ResponseHead, GrowsForLongFields) {
  std::string value(100'000, 'v');
  ResponseHead made = head("200 OK", {{"X", value}});
  EXPECT_NE(made.finish(Framing::NoBody, true, false, kDate).view().find(value),
            std::string_view::npos);
}

TEST(Status, IsThreeDigitsASpaceAndWords) {
  for (const char* good : {"200 OK", "404 Not Found", "599 ", "200 \xc4"}) {
    EXPECT_TRUE(is_status(good)) << good;
  }
  for (const char* bad : {"", "200", "20 OK", "2000 OK", "abc OK", "600 X", "099 X"}) {
    EXPECT_FALSE(is_status(bad)) << bad;
  }
}

TEST(ErrorAnswer, NamesTheRuleAndCloses) {
  EXPECT_EQ(error_answer(414, "Request line longer than 9 bytes", kDate, true),
            "HTTP/1.1 414 URI Too Long\r\nServer: appd\r\nDate: now\r\n"
            "Content-Type: text/plain; charset=utf-8\r\nContent-Length: 37\r\n"
            "Connection: close\r\n\r\n414 Request line longer than 9 bytes\n");
}

}  // namespace
}  // namespace appd::http
