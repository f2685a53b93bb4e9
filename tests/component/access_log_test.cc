// The access log of real workers: it does not matter who calls the app.
#include <gtest/gtest.h>

#include "tests/component/zygote_process.h"
#include "tests/support/eventually.h"
#include "tests/support/http_client.h"

namespace appd::test {
namespace {

message::Load logging(const char* worker_class) {
  message::Load load;
  load.app_uri = "wsgi:app";
  load.worker_class = worker_class;
  load.settings.access_log = true;
  load.settings.access_log_format = R"(line "%(r)s" %(s)s %(b)s)";
  return load;
}

void serve(ZygoteProcess& zygote, const message::Load& load) {
  zygote.load(load);
  zygote.expect<message::Loaded>();
  zygote.send(message::Fork{1});
  zygote.find<message::Ready>();
}

bool has_line(const ZygoteProcess& zygote, const std::string& line) {
  return eventually([&] { return zygote.log().find(line + "\n") != std::string::npos; });
}

TEST(AccessLogOfWorkers, HasTheAnswersOfAWsgiApp) {
  ZygoteProcess zygote(R"(
def app(environ, start_response):
    if environ["PATH_INFO"] == "/raise": raise ValueError("boom")
    start_response("201 Made", [])
    return iter([b"a", b"bc"])
)");
  serve(zygote, logging("sync"));
  EXPECT_EQ(fetch(zygote.port(), "/x?y").status, 201);
  EXPECT_TRUE(has_line(zygote, R"(line "GET /x?y HTTP/1.1" 201 3)"));
  EXPECT_EQ(fetch(zygote.port(), "/raise").status, 500);
  EXPECT_TRUE(has_line(zygote, R"(line "GET /raise HTTP/1.1" 500 22)"));
  message::Settings off;
  off.revision = 2;
  zygote.send(message::Tune{off});
  zygote.find<message::Tuned>();
  EXPECT_EQ(fetch(zygote.port(), "/off").status, 201);
  zygote.send(message::Quit{});
  zygote.find<message::Exited>();
  EXPECT_EQ(zygote.log().find("/off"), std::string::npos);
}

// Its answer ends between two turns of the engine, with no other request to come.
TEST(AccessLogOfWorkers, HasTheLateAnswersOfAnAsgiApp) {
  ZygoteProcess zygote(R"(
import asyncio

async def app(scope, receive, send):
    if scope["type"] != "http": return
    await asyncio.sleep(0.02)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"late"})
)");
  serve(zygote, logging("asgi"));
  EXPECT_EQ(fetch(zygote.port(), "/late").body, "late");
  EXPECT_TRUE(has_line(zygote, R"(line "GET /late HTTP/1.1" 200 4)"));
}

}  // namespace
}  // namespace appd::test
