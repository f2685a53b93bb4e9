// What a scraper gets, and what everybody else does.
#include "supervisor/metrics/page.h"

#include <gtest/gtest.h>

namespace appd::metrics {
namespace {

Result<std::string> text() { return std::string("a 1\n"); }

// The answer to a whole request.
std::string of(std::string_view request) {
  auto found = answer(request, text);
  return found ? *found : "(none)";
}
std::string get(std::string_view target, std::string_view more = "") {
  return of("GET " + std::string(target) + " HTTP/1.1\r\nHost: a\r\n" + std::string(more) + "\r\n");
}

TEST(Page, GivesTheTextWithItsTypeAndEndsTheConnection) {
  const std::string page = get("/metrics", "Accept-Encoding: gzip\r\n");
  EXPECT_TRUE(page.starts_with("HTTP/1.1 200 OK\r\n")) << page;
  EXPECT_TRUE(page.ends_with("\r\n\r\na 1\n")) << page;
  for (const char* field : {"\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n",
                            "\r\nContent-Length: 4\r\n", "\r\nConnection: close\r\n"}) {
    EXPECT_NE(page.find(field), std::string::npos) << field << page;
  }
  EXPECT_EQ(get("/metrics?x=1").substr(9, 3), "200");
}

TEST(Page, WaitsForTheWholeHead) {
  const std::string whole = "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n";
  for (std::size_t size = 0; size < whole.size(); ++size) {
    EXPECT_FALSE(answer(whole.substr(0, size), text)) << size;
  }
  EXPECT_TRUE(answer(whole, text));
  EXPECT_TRUE(answer(whole + "GET /other HTTP/1.1\r\n", text));
}

TEST(Page, SendsNoBodyToHead) {
  const std::string page = of("HEAD /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(page.substr(9, 3), "200");
  EXPECT_TRUE(page.ends_with("\r\n\r\n")) << page;
  EXPECT_NE(page.find("Content-Length: 4\r\n"), std::string::npos);
}

TEST(Page, RefusesWhatItDoesNotServe) {
  EXPECT_EQ(get("/").substr(9, 3), "404");
  EXPECT_EQ(get("/metrics/").substr(9, 3), "404");
  const std::string post = of("POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n");
  EXPECT_EQ(post.substr(9, 3), "405");
  EXPECT_NE(post.find("\r\nAllow: GET, HEAD\r\n"), std::string::npos);
}

TEST(Page, RefusesWhatIsNoRequest) {
  EXPECT_EQ(of("\x16\x03\x01\x02\n\r\n\r\n").substr(9, 3), "400");
  EXPECT_EQ(of("GET /metrics HTTP/1.1\r\n\r\n").substr(9, 3), "400") << "no Host";
  EXPECT_EQ(get("/metrics", "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n").substr(9, 3),
            "400");
  // However long a client goes on, it is answered.
  std::string endless = "GET /" + std::string(100'000, 'a');
  EXPECT_EQ(of(endless).substr(9, 3), "414");
  std::string fields = "GET /metrics HTTP/1.1\r\n";
  for (int i = 0; i < 1000; ++i) fields += "X: y\r\n";
  EXPECT_EQ(of(fields).substr(9, 3), "431");
}

TEST(Page, SaysWhyThereIsNone) {
  const auto none = []() -> Result<std::string> {
    return Error{ErrorCode::Unavailable, "METRICS_LATE", "appd does not answer: try again", 0};
  };
  const auto page = answer("GET /metrics HTTP/1.0\r\n\r\n", none);
  ASSERT_TRUE(page);
  EXPECT_EQ(page->substr(9, 3), "503");
  EXPECT_TRUE(page->ends_with("\r\n\r\nappd does not answer: try again\n"));
}

}  // namespace
}  // namespace appd::metrics
