// Loading an app: what is told of success, of every kind of failure, and of apps that must not be
// forked.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include "tests/component/zygote_process.h"
#include "tests/support/http_client.h"

namespace appd::test {
namespace {

message::Load app_at(const std::string& uri, message::Preload preload = message::Preload::Auto) {
  message::Load load;
  load.app_uri = uri;
  load.preload = preload;
  return load;
}

message::LoadFailed failure_of(const std::string& source, const std::string& uri = "wsgi:app") {
  ZygoteProcess zygote(source);
  zygote.load(app_at(uri));
  return zygote.expect<message::LoadFailed>();
}

TEST(ZygoteLoad, SaysHelloBeforeAnyLoad) {
  ZygoteProcess zygote("");
  EXPECT_EQ(zygote.hello().protocol, message::kProtocolVersion);
  EXPECT_EQ(zygote.hello().pid, zygote.pid());
  EXPECT_EQ(zygote.hello().app, "");
  EXPECT_TRUE(zygote.hello().python_version.starts_with("3."));
  EXPECT_EQ(zygote.hello_descriptors(), 0U);
}

TEST(ZygoteLoad, PreloadsAnAppThatIsSafeToFork) {
  ZygoteProcess zygote(kHelloApp);
  zygote.load(app_at("wsgi:app"));
  auto loaded = zygote.expect<message::Loaded>();
  EXPECT_TRUE(loaded.preloaded);
  EXPECT_EQ(loaded.note, "");
}

TEST(ZygoteLoad, FindsADottedCallableInAPackage) {
  ZygoteProcess zygote("");
  zygote.write("package/__init__.py", "");
  zygote.write("package/main.py", "class holder:\n  def app(e, s): pass\n");
  zygote.load(app_at("package.main:holder.app"));
  EXPECT_TRUE(zygote.expect<message::Loaded>().preloaded);
}

TEST(ZygoteLoad, ReportsASyntaxErrorWithTheLineAndNotOurFrames) {
  auto failed = failure_of("def app(environ, start_response)\n    return []\n");
  EXPECT_FALSE(failed.not_found);
  EXPECT_TRUE(failed.summary.starts_with("SyntaxError")) << failed.summary;
  EXPECT_NE(failed.traceback.find("wsgi.py\", line 1"), std::string::npos) << failed.traceback;
  EXPECT_EQ(failed.traceback.find("appd_zygote"), std::string::npos) << failed.traceback;
  EXPECT_EQ(failed.traceback.find("importlib"), std::string::npos) << failed.traceback;
}

TEST(ZygoteLoad, ReportsAMissingModule) {
  auto failed = failure_of("", "nowhere:app");
  EXPECT_EQ(failed.summary, "ModuleNotFoundError: No module named 'nowhere'");
}

TEST(ZygoteLoad, ReportsAnImportThatFailsInsideTheApp) {
  auto failed = failure_of("import json\nimport not_there\n");
  EXPECT_EQ(failed.summary, "ModuleNotFoundError: No module named 'not_there'");
  EXPECT_NE(failed.traceback.find("wsgi.py\", line 2"), std::string::npos) << failed.traceback;
}

TEST(ZygoteLoad, ReportsAMissingCallable) {
  auto failed = failure_of("application = None\n");
  EXPECT_TRUE(failed.not_found);
  EXPECT_EQ(failed.summary, "module 'wsgi' has no 'app'");
}

TEST(ZygoteLoad, ReportsWhatIsNotCallable) {
  auto failed = failure_of("app = 3\n");
  EXPECT_TRUE(failed.not_found);
  EXPECT_EQ(failed.summary, "'wsgi:app' is not callable but int");
}

TEST(ZygoteLoad, NamesTheUsualCallablesThatTheModuleHas) {
  auto failed = failure_of("def application(e, s): pass\ndef create_app(): pass\napp = None\n",
                           "wsgi:site.app");
  EXPECT_TRUE(failed.not_found);
  EXPECT_EQ(failed.summary, "module 'wsgi' has no 'site.app'; it has 'application', 'create_app'");
}

const char* const kFactory = R"(
class site:
    @staticmethod
    def make(*given, **named):
        def app(environ, start_response):
            start_response("200 OK", [])
            return [repr((given, named)).encode()]
        return app
application = site.make("as it is")
def broken(): return site.lost
def nothing(): return None
def hungry(what): pass
)";

std::string answer_of(const std::string& uri) {
  ZygoteProcess zygote(kFactory);
  zygote.load(app_at(uri));
  EXPECT_TRUE(zygote.expect<message::Loaded>().preloaded);
  zygote.send(message::Fork{1});
  zygote.find<message::Ready>();
  return fetch(zygote.port(), "/").body;
}

TEST(ZygoteLoad, AModuleAloneMeansItsApplication) {
  EXPECT_EQ(answer_of("wsgi"), "(('as it is',), {})");
}

TEST(ZygoteLoad, CallsAFactoryWithLiterals) {
  EXPECT_EQ(answer_of("wsgi:site.make()"), "((), {})");
  EXPECT_EQ(answer_of("wsgi:site.make('a:b', -1, debug=True, hosts=['x', None])"),
            "(('a:b', -1), {'debug': True, 'hosts': ['x', None]})");
}

TEST(ZygoteLoad, EvaluatesNothingInTheArgumentsOfAFactory) {
  const char* const bad[] = {"wsgi:site.make(print('x'))", "wsgi:site.make(debug=site)",
                             "wsgi:site.make(*[1])", "wsgi:site.make(**{'a': 1})"};
  for (const char* uri : bad) {
    auto failed = failure_of(kFactory, uri);
    EXPECT_TRUE(failed.not_found) << uri;
    EXPECT_NE(failed.summary.find("are literals"), std::string::npos) << failed.summary;
  }
}

TEST(ZygoteLoad, RefusesWhatIsNeitherANameNorACall) {
  for (const char* uri : {"wsgi:site.make(", "wsgi:site['make']", "wsgi:site.make()()",
                          "wsgi:site.make().x", "wsgi:1 + 1", "wsgi:lambda: 0"}) {
    auto failed = failure_of(kFactory, uri);
    EXPECT_TRUE(failed.not_found) << uri;
    EXPECT_NE(failed.summary.find("neither a name nor a call"), std::string::npos)
        << failed.summary;
  }
}

TEST(ZygoteLoad, ReportsAFactoryThatFails) {
  auto failed = failure_of(kFactory, "wsgi:broken()");
  EXPECT_FALSE(failed.not_found);
  EXPECT_EQ(failed.summary, "AttributeError: type object 'site' has no attribute 'lost'");
  EXPECT_NE(failed.traceback.find("in broken"), std::string::npos) << failed.traceback;
  EXPECT_EQ(failure_of(kFactory, "wsgi:hungry()").summary,
            "TypeError: hungry() missing 1 required positional argument: 'what'");
}

TEST(ZygoteLoad, ReportsAFactoryThatGivesNoCallable) {
  EXPECT_EQ(failure_of(kFactory, "wsgi:nothing()").summary,
            "'wsgi:nothing()' is not callable but NoneType");
  EXPECT_EQ(failure_of("app = {}\n", "wsgi:app()").summary, "wsgi:app is no factory but dict");
}

TEST(ZygoteLoad, SurvivesSystemExitAtImport) {
  auto failed = failure_of("raise SystemExit(3)\n");
  EXPECT_EQ(failed.summary, "SystemExit: 3");
}

TEST(ZygoteLoad, BoundsAHugeTraceback) {
  auto failed = failure_of("raise ValueError('x' * 1000000)\n");
  EXPECT_TRUE(failed.summary.starts_with("ValueError: xxx"));
  EXPECT_LE(failed.traceback.size(), message::kMaxTraceback);
}

TEST(ZygoteLoad, EndsWithTheStatusOfAnImportThatExitsTheProcess) {
  ZygoteProcess zygote("import os\nos._exit(42)\n");
  zygote.load(app_at("wsgi:app"));
  int status = zygote.wait_exit();
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 42);
}

const char* const kThreadedApp = R"(
import os, threading, time
threading.Thread(target=time.sleep, args=(3600,), daemon=True, name="poller").start()
def app(environ, start_response):
    start_response("200 OK", [])
    return [str(threading.active_count()).encode()]
)";

TEST(ZygoteLoad, StartsOverInTheSameProcessWhenTheImportLeavesAThread) {
  ZygoteProcess zygote(kThreadedApp);
  zygote.load(app_at("wsgi:app"));
  auto loaded = zygote.expect<message::Loaded>();
  EXPECT_FALSE(loaded.preloaded);
  EXPECT_EQ(loaded.note, "the import left 1 thread running (poller)");
  zygote.send(message::Fork{1});
  EXPECT_EQ(zygote.expect<message::Forked>().worker, 1U);
  EXPECT_EQ(zygote.expect<message::Ready>().worker, 1U);
  EXPECT_EQ(fetch(zygote.port(), "/").body, "2") << "the worker has its own thread";
  zygote.send(message::Quit{});
  zygote.find<message::Exited>();
  EXPECT_EQ(zygote.wait_exit(), 0) << "it is still the same process";
}

TEST(ZygoteLoad, NamesASocketThatTheImportLeftConnected) {
  ZygoteProcess zygote(R"(
import socket
server = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(server.getsockname())
def app(environ, start_response): pass
)");
  zygote.load(app_at("wsgi:app"));
  auto loaded = zygote.expect<message::Loaded>();
  EXPECT_FALSE(loaded.preloaded);
  EXPECT_TRUE(loaded.note.starts_with("the import left a socket connected to")) << loaded.note;
}

TEST(ZygoteLoad, NamesAnEventLoopThatTheImportLeft) {
  ZygoteProcess zygote(R"(
import asyncio
loop = asyncio.new_event_loop()
def app(environ, start_response): pass
)");
  zygote.load(app_at("wsgi:app"));
  auto loaded = zygote.expect<message::Loaded>();
  EXPECT_FALSE(loaded.preloaded);
  EXPECT_NE(loaded.note.find("event loop"), std::string::npos) << loaded.note;
}

TEST(ZygoteLoad, PreloadOnTrustsTheApp) {
  ZygoteProcess zygote(kThreadedApp);
  zygote.load(app_at("wsgi:app", message::Preload::On));
  EXPECT_TRUE(zygote.expect<message::Loaded>().preloaded);
}

TEST(ZygoteLoad, WithoutPreloadTheWorkerReportsTheFailure) {
  ZygoteProcess zygote("raise RuntimeError('no database')\n");
  zygote.load(app_at("wsgi:app", message::Preload::Off));
  EXPECT_FALSE(zygote.expect<message::Loaded>().preloaded);
  zygote.send(message::Fork{1});
  zygote.expect<message::Forked>();
  auto failed = zygote.expect<message::BootFailed>();
  EXPECT_EQ(failed.worker, 1U);
  EXPECT_EQ(failed.summary, "RuntimeError: no database");
  EXPECT_NE(failed.traceback.find("wsgi.py\", line 1"), std::string::npos);
  EXPECT_NE(zygote.expect<message::Exited>().wait_status, 0);
}

TEST(ZygoteLoad, WarmUpRequestsReachTheAppBeforeTheFork) {
  ZygoteProcess zygote(R"(
seen = []
def app(environ, start_response):
    seen.append(environ["PATH_INFO"] + "?" + environ["QUERY_STRING"])
    start_response("200 OK", [])
    if environ["PATH_INFO"] == "/bad": raise ValueError("cold")
    return [" ".join(seen).encode()]
)");
  message::Load load = app_at("wsgi:app");
  load.warmup_paths = {"/a?x=1", "/bad", "/b"};
  zygote.load(load);
  EXPECT_TRUE(zygote.expect<message::Loaded>().preloaded);
  zygote.send(message::Fork{1});
  zygote.find<message::Ready>();
  EXPECT_EQ(fetch(zygote.port(), "/c").body, "/a?x=1 /bad? /b? /c?");
}

}  // namespace
}  // namespace appd::test
