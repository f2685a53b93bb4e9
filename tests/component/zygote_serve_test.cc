// Real frameworks behind real workers, and load while workers come and go.
#include <gtest/gtest.h>

#include <atomic>
#include <set>
#include <thread>

#include "tests/component/zygote_process.h"
#include "tests/support/http_client.h"

namespace appd::test {
namespace {

const char* const kFlaskApp = R"(
from wsgiref.validate import validator
from flask import Flask, request, Response
flask = Flask(__name__)

@flask.get("/")
def index():
    return "hello from flask"

@flask.post("/echo")
def echo():
    return request.get_data()

@flask.get("/stream")
def stream():
    return Response((f"{i}\n" for i in range(5)), mimetype="text/plain")

app = validator(flask)
)";

const char* const kDjangoApp = R"(
from wsgiref.validate import validator
import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse, StreamingHttpResponse
from django.urls import path
settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="test")

def index(request): return HttpResponse("hello from django")
def echo(request): return HttpResponse(request.body)
def stream(request): return StreamingHttpResponse(f"{i}\n" for i in range(5))

urlpatterns = [path("", index), path("echo", echo), path("stream", stream)]
app = validator(get_wsgi_application())
)";

class Framework : public testing::TestWithParam<const char*> {
 protected:
  ZygoteProcess zygote_{GetParam()};
};

TEST_P(Framework, PassesThePepValidator) {
  zygote_.serve(1);
  HttpClient client(zygote_.port());
  auto index = client.get("/");
  ASSERT_TRUE(index.has_value());
  EXPECT_EQ(index->status, 200);
  EXPECT_TRUE(index->body.starts_with("hello from "));
  std::string body(300'000, 'x');
  ASSERT_TRUE(client.send("POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: " +
                          std::to_string(body.size()) + "\r\n\r\n" + body));
  EXPECT_TRUE(client.receive().value_or(Answer{}).body == body);
  ASSERT_TRUE(
      client.send("POST /echo HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n"
                  "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"));
  EXPECT_EQ(client.receive().value_or(Answer{}).body, "abcde");
  EXPECT_EQ(client.get("/stream").value_or(Answer{}).body, "0\n1\n2\n3\n4\n");
  ASSERT_TRUE(client.send("HEAD / HTTP/1.1\r\nHost: test\r\n\r\n"));
  auto head = client.receive(true);
  ASSERT_TRUE(head.has_value());
  EXPECT_EQ(head->status, 200);
  EXPECT_EQ(client.get("/nowhere").value_or(Answer{}).status, 404);
  EXPECT_EQ(zygote_.log().find("AssertionError"), std::string::npos);
  EXPECT_EQ(zygote_.log().find("level=error"), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(FlaskAndDjango, Framework, testing::Values(kFlaskApp, kDjangoApp));

// Keep-alive clients in a closed loop, who reconnect when they are told to or find the connection
// ended between two requests. Anything else that is not a complete 200 is a failure.
class SteadyLoad {
 public:
  SteadyLoad(std::uint16_t port, int clients) {
    for (int i = 0; i < clients; ++i) threads_.emplace_back([this, port] { run(port); });
  }
  ~SteadyLoad() { stop(); }
  void stop() {
    stop_ = true;
    for (std::thread& thread : threads_) {
      if (thread.joinable()) thread.join();
    }
  }
  void await_answers(int more) {
    int target = answered_ + more;
    while (answered_ < target && failed_ == 0) std::this_thread::yield();
  }
  int answered() const { return answered_; }
  int failed() const { return failed_; }

 private:
  void run(std::uint16_t port) {
    while (!stop_) {
      HttpClient client(port);
      if (!client.connected()) ++failed_;
      for (bool open = client.connected(); open && !stop_;) {
        auto answer = client.get("/");
        if (!answer || answer->status != 200) ++failed_;
        ++answered_;
        open = answer && !answer->closes();
      }
    }
  }

  std::atomic<bool> stop_ = false;
  std::atomic<int> answered_ = 0;
  std::atomic<int> failed_ = 0;
  std::vector<std::thread> threads_;
};

TEST(ZygoteServe, NoRequestFailsWhileWorkersAreReplaced) {
  ZygoteProcess zygote(kHelloApp);
  zygote.serve(2);
  SteadyLoad load(zygote.port(), 16);
  load.await_answers(200);
  for (std::uint32_t next = 3; next <= 12; ++next) {
    zygote.send(message::Fork{next});
    zygote.find<message::Ready>();
    zygote.send(message::Drain{next - 2});
    EXPECT_EQ(zygote.find<message::Exited>().wait_status, 0);
    load.await_answers(50);
  }
  load.stop();
  EXPECT_EQ(load.failed(), 0) << "of " << load.answered();
}

TEST(ZygoteServe, NoRequestFailsWhileThreadsGrowAndShrink) {
  ZygoteProcess zygote(kHelloApp);
  zygote.serve(2);
  SteadyLoad load(zygote.port(), 16);
  load.await_answers(200);
  message::Settings settings;
  for (std::uint32_t threads : {8U, 1U, 4U, 2U, 8U, 1U}) {
    settings.threads = threads;
    ++settings.revision;
    zygote.send(message::Tune{settings});
    zygote.expect<message::Tuned>();
    zygote.expect<message::Tuned>();
    load.await_answers(200);
  }
  load.stop();
  EXPECT_EQ(load.failed(), 0) << "of " << load.answered();
  zygote.send(message::Quit{});
  EXPECT_EQ(zygote.find<message::Exited>().wait_status, 0);
  EXPECT_EQ(zygote.find<message::Exited>().wait_status, 0);
}

TEST(ZygoteServe, ThreadsServeSlowRequestsSideBySide) {
  ZygoteProcess zygote(kHelloApp);
  message::Settings settings;
  settings.threads = 4;
  zygote.serve(1, settings);
  std::vector<HttpClient> clients;
  for (int i = 0; i < 4; ++i) clients.emplace_back(zygote.port());
  for (HttpClient& client : clients) {
    ASSERT_TRUE(client.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n"));
  }
  while (zygote.slot(1).busy < 4) std::this_thread::yield();
  for (HttpClient& client : clients) EXPECT_EQ(client.receive().value_or(Answer{}).status, 200);
}

TEST(ZygoteServe, AppExceptionsBecomeFiveHundredAndALogLine) {
  ZygoteProcess zygote(R"(
def app(environ, start_response):
    if environ["PATH_INFO"] == "/raise": raise ValueError("boom")
    value = {"/split": "a\r\nX: b", "/nul": "a\0"}.get(environ["PATH_INFO"], "fine")
    start_response("200 OK", [("X-Value", value)])
    return [b"body"]
)");
  zygote.serve(1);
  HttpClient client(zygote.port());
  for (const char* path : {"/raise", "/split", "/nul"}) {
    auto answer = client.get(path);
    ASSERT_TRUE(answer.has_value()) << path;
    EXPECT_EQ(answer->status, 500) << path;
    EXPECT_EQ(answer->head.find("X:"), std::string::npos);
    EXPECT_NE(
        zygote.log().find("event=app_exception worker=1 method=GET path=\"" + std::string(path)),
        std::string::npos);
  }
  EXPECT_NE(zygote.log().find("ValueError: boom"), std::string::npos);
  EXPECT_EQ(client.get("/").value_or(Answer{}).status, 200);
}

}  // namespace
}  // namespace appd::test
