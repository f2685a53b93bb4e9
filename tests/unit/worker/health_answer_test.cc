// Reading what an app has said to a health check.
#include "worker/zygote/health_answer.h"

#include <gtest/gtest.h>

namespace appd::zygote {
namespace {

HealthAnswer answer(std::initializer_list<std::string_view> pieces) {
  HealthAnswer answer;
  for (std::string_view piece : pieces) answer.take(piece);
  return answer;
}

TEST(HealthAnswer, ReadsTheStatusInPieces) {
  EXPECT_EQ(answer({}).status(), 0);
  EXPECT_EQ(answer({"HTTP/1.1 5"}).status(), 0);
  HealthAnswer whole = answer({"HTTP/1.", "1 50", "3 Service Unavailable\r\n\r\n"});
  EXPECT_EQ(whole.status(), 503);
  EXPECT_TRUE(whole.complete());
}

TEST(HealthAnswer, IsCompleteWhenAllThatWasAnnouncedIsThere) {
  EXPECT_FALSE(answer({"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n"}).complete());
  EXPECT_FALSE(answer({"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhell"}).complete());
  EXPECT_TRUE(answer({"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell", "o"}).complete());
  EXPECT_TRUE(answer({"HTTP/1.1 200 OK\r\n\r\nhello"}).complete()) << "its end is the connection's";
}

TEST(HealthAnswer, CountsABodyThatIsTooLongToKeep) {
  std::string body(100'000, 'x');
  HealthAnswer whole = answer({"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", body});
  EXPECT_TRUE(whole.complete());
  EXPECT_LT(whole.text().size(), 2200U);
  EXPECT_TRUE(whole.text().ends_with("[...]"));
}

TEST(HealthAnswer, IsShownAsStatusLineAndBody) {
  EXPECT_EQ(answer({"HTTP/1.1 503 Service Unavailable\r\nServer: x\r\n\r\nno database: é"}).text(),
            "HTTP/1.1 503 Service Unavailable\n\nno database: é");
}

TEST(HealthAnswer, ShowsNothingThatIsNotText) {
  EXPECT_EQ(answer({"HTTP/1.1 200 OK\r\n\r\na\x1b[31m\xff"}).text(), "HTTP/1.1 200 OK\n\na?[31m?");
}

TEST(HealthAnswer, IsNotCutWithinACharacter) {
  std::string text = answer({"HTTP/1.1 200 OK\r\n\r\n", "x" + std::string(5000, 'e'), ""}).text();
  EXPECT_TRUE(text.find('?') == std::string::npos);
  std::string many;
  for (int i = 0; i < 3000; ++i) many += "é";
  EXPECT_EQ(answer({"HTTP/1.1 200 OK\r\n\r\nx", many}).text().find('?'), std::string::npos);
}

TEST(HealthAnswer, AsksAsAnHttp10Client) {
  std::string request = HealthAnswer::request("/healthz?deep=1");
  EXPECT_TRUE(request.starts_with("GET /healthz?deep=1 HTTP/1.0\r\nHost: localhost\r\n"));
  EXPECT_TRUE(request.ends_with("\r\n\r\n"));
}

}  // namespace
}  // namespace appd::zygote
