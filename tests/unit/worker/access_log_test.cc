// Lines of the access log as they reach descriptor 1, and what clients cannot do to them.
#include "worker/engine/access_log.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/unique_fd.h"
#include "tests/support/eventually.h"
#include "tests/unit/worker/engine_harness.h"

namespace appd::engine {
namespace {

// What is written to descriptor 1 while it lives goes to memory.
class CapturedOutput {
 public:
  CapturedOutput()
      : file_(::memfd_create("access-log-test", MFD_CLOEXEC)),
        saved_(::fcntl(1, F_DUPFD_CLOEXEC, 3)) {
    std::fflush(stdout);
    ::dup2(file_.get(), 1);
  }
  ~CapturedOutput() {
    std::fflush(stdout);
    ::dup2(saved_.get(), 1);
  }
  std::string text() const {
    std::string text(static_cast<std::size_t>(::lseek(file_.get(), 0, SEEK_END)), '\0');
    EXPECT_EQ(::pread(file_.get(), text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
    return text;
  }

 private:
  UniqueFd file_;
  UniqueFd saved_;
};

message::Settings logging(std::string format) {
  message::Settings settings;
  settings.access_log = true;
  settings.access_log_format = std::move(format);
  return settings;
}

class AccessLogTest : public testing::Test {
 protected:
  AccessLogTest() {
    request_.method = "GET";
    request_.target = "/a%0Ab?c=d";
    request_.path = "/a%0Ab";
    request_.query = "c=d";
    response_.start("200 OK");
    response_.add("X-Answer", "yes");
    response_.finish(http::Framing::Length, true, false, "");
  }
  std::string line(const std::string& format) {
    CapturedOutput output;
    AccessLog log;
    log.apply(logging(format));
    log.add({request_,
             response_,
             {"192.0.2.1", 80, false},
             200,
             5,
             std::chrono::microseconds(1'234'567)});
    log.flush();
    return output.text();
  }

  http::RequestHead request_;
  http::ResponseHead response_;
};

TEST_F(AccessLogTest, KnowsGunicornsAtoms) {
  request_.fields = {{"Referer", "http://r"}, {"User-Agent", "agent/1"}, {"X-Id", "7"}};
  EXPECT_EQ(line("%(h)s %(l)s %(s)s %(m)s %(U)s %(q)s %(H)s %(b)s %(B)s"),
            "192.0.2.1 - 200 GET /a\\x0ab c=d HTTP/1.1 5 5\n");
  EXPECT_EQ(line(R"("%(r)s" "%(f)s" "%(a)s")"),
            "\"GET /a%0Ab?c=d HTTP/1.1\" \"http://r\" \"agent/1\"\n");
  EXPECT_EQ(line("%(T)s %(D)s %(M)s %(L)s"), "1 1234567 1234 1.234567\n");
  EXPECT_EQ(line("%(p)s"), "<" + std::to_string(::getpid()) + ">\n");
  EXPECT_EQ(line("%({x-id}i)s %({X-ID}i)s %({HTTP_X_ID}e)s %({x-answer}o)s %({none}i)s"),
            "7 7 7 yes -\n");
}

TEST_F(AccessLogTest, HasADashForAnEmptyBody) {
  CapturedOutput output;
  AccessLog log;
  log.apply(logging("%(b)s %(B)s"));
  log.add({request_, response_, {}, 204});
  log.flush();
  EXPECT_EQ(output.text(), "- 0\n");
}

TEST_F(AccessLogTest, DefaultFormatIsTheCombinedOne) {
  std::string got = line(message::kAccessLogFormat);
  EXPECT_TRUE(got.starts_with("192.0.2.1 - - [")) << got;
  EXPECT_TRUE(got.ends_with("] \"GET /a%0Ab?c=d HTTP/1.1\" 200 5 \"-\" \"-\"\n")) << got;
}

TEST_F(AccessLogTest, TakesWhatIsNoAtomAsItIs) {
  EXPECT_EQ(line("100%% %(nonsense)s %({x}z)s 5% %(s"), "100% - - 5% %(s\n");
  EXPECT_EQ(line(""), "\n");
}

TEST_F(AccessLogTest, NamesTheUserOfBasicCredentials) {
  request_.fields = {{"Authorization", "Basic YWxpY2U6c2VjcmV0"}};
  EXPECT_EQ(line("%(u)s"), "alice\n");
  request_.fields = {{"Authorization", "Basic YWxp\"Y2U6c2VjcmV0"}};
  EXPECT_EQ(line("%(u)s"), "-\n");
  request_.fields = {{"Authorization", "Bearer YWxpY2U6c2VjcmV0"}};
  EXPECT_EQ(line("%(u)s"), "-\n");
}

TEST_F(AccessLogTest, ValuesCanEndNeitherQuotesNorLines) {
  request_.fields = {{"User-Agent", "a\" \x1b[31m\\\r\n\xff"}};
  EXPECT_EQ(line(R"("%(a)s")"), "\"a\\\" \\x1b[31m\\\\\\x0d\\x0a\\xff\"\n");
}

TEST_F(AccessLogTest, ValuesAreCut) {
  std::string agent(10'000, 'x');
  request_.fields = {{"User-Agent", agent}};
  EXPECT_EQ(line("%(a)s"), std::string(AccessLog::kMaxValue, 'x') + "...\n");
}

TEST_F(AccessLogTest, SpeaksJson) {
  request_.fields = {{"User-Agent", "a\"\\\n\xe9"}};
  std::string got = line("json");
  EXPECT_TRUE(got.starts_with("{\"time\":\"20")) << got;
  EXPECT_NE(got.find("\",\"status\":200,\"bytes\":5,\"duration_us\":1234567,\"pid\":"),
            std::string::npos)
      << got;
  EXPECT_TRUE(got.ends_with(
      R"("remote_addr":"192.0.2.1","user":null,"method":"GET","path":"/a\u000ab","query":"c=d",)"
      R"("protocol":"HTTP/1.1","referer":null,"user_agent":"a\"\\\u000a\u00e9","trace_id":null})"
      "\n"))
      << got;
}

TEST_F(AccessLogTest, TellsTheTraceThatARequestBelongsTo) {
  const char* trace = "4bf92f3577b34da6a3ce929d0e0e4736";
  const std::string parent = std::string("00-") + trace + "-00f067aa0ba902b7-01";
  request_.fields = {{"Traceparent", parent}};
  EXPECT_EQ(line("%(trace_id)s %({traceparent}i)s"), trace + (" " + parent) + "\n");
  EXPECT_NE(line("json").find(std::string("\"trace_id\":\"") + trace + "\"}"), std::string::npos);
  request_.fields = {{"traceparent", "00-what"}};
  EXPECT_EQ(line("%(trace_id)s"), "-\n");
  request_.fields = {{"traceparent", parent}, {"traceparent", parent}};
  EXPECT_EQ(line("%(trace_id)s"), "-\n");
}

// ---- through the engine

constexpr const char* kShort = R"(%(h)s "%(r)s" %(s)s %(b)s)";

std::string logged(const std::vector<std::string>& requests, message::Settings settings,
                   int lines = 1) {
  CapturedOutput output;
  EngineHarness engine(EngineHarness::answer_hello, std::move(settings));
  test::HttpClient client(engine.port());
  for (const std::string& request : requests) {
    EXPECT_TRUE(client.send(request));
    client.receive();
  }
  EXPECT_TRUE(test::eventually([&] {
    std::string text = output.text();
    return std::count(text.begin(), text.end(), '\n') >= lines;
  }));
  return output.text();
}

TEST(AccessLogOfEngine, HasALineForEachAnswer) {
  std::string get = "GET /x HTTP/1.1\r\nHost: a\r\n\r\n";
  std::string forwarded = "GET /y HTTP/1.0\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n";
  EXPECT_EQ(logged({get, get, forwarded}, logging(kShort), 3),
            "127.0.0.1 \"GET /x HTTP/1.1\" 200 5\n127.0.0.1 \"GET /x HTTP/1.1\" 200 5\n"
            "192.0.2.1 \"GET /y HTTP/1.0\" 200 5\n");
}

TEST(AccessLogOfEngine, HasLinesForRefusedRequests) {
  EXPECT_EQ(logged({"GET /x?y HTTP/1.1\r\n\r\n"}, logging("%(r)s %(U)s %(q)s %(s)s %(b)s")),
            "GET /x?y HTTP/1.1 /x y 400 26\n");
  EXPECT_EQ(logged({"nonsense\"\r\n\r\n"}, logging(kShort)), "127.0.0.1 \"-\" 400 26\n");
  message::Settings settings = logging(kShort);
  settings.client_header_timeout_ms = settings.client_body_timeout_ms = 30;
  EXPECT_TRUE(logged({"GET /slow HTTP/1.1\r\nHost:"}, settings)
                  .starts_with("127.0.0.1 \"GET /slow HTTP/1.1\" 408 "));
  EXPECT_TRUE(logged({"PUT /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n"}, settings)
                  .starts_with("127.0.0.1 \"PUT /slow HTTP/1.1\" 408 "));
}

TEST(AccessLogOfEngine, IsOffUnlessAskedFor) {
  CapturedOutput output;
  EngineHarness engine;
  test::fetch(engine.port(), "/");
  engine.apply(logging(kShort));
  test::fetch(engine.port(), "/logged");
  EXPECT_TRUE(test::eventually([&] { return !output.text().empty(); }));
  EXPECT_EQ(output.text(), "127.0.0.1 \"GET /logged HTTP/1.1\" 200 5\n");
}

}  // namespace
}  // namespace appd::engine
