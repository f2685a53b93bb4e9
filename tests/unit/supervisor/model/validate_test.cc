// The rules of a spec: each boundary, and every violation at once.
#include <gtest/gtest.h>

#include <functional>

#include "supervisor/model/app_spec.h"

namespace appd::model {
namespace {

AppSpec good() {
  AppSpec spec;
  spec.directory = "/srv/web";
  spec.app = "wsgi:app";
  spec.bind = {"127.0.0.1:8000"};
  return spec;
}

std::string broken(const std::function<void(AppSpec&)>& edit) {
  AppSpec spec = good();
  edit(spec);
  std::string fields;
  for (const Violation& violation : validate(spec)) {
    fields += (fields.empty() ? "" : " ") + violation.field;
  }
  return fields;
}

TEST(Validate, TakesAGoodSpecAndTheEdgesOfEveryRange) {
  EXPECT_EQ(broken([](AppSpec&) {}), "");
  EXPECT_EQ(broken([](AppSpec& s) {
              s.workers = 1024;
              s.threads = 256;
              s.worker_class = "gthread";
              s.app = "pkg.sub.wsgi:site.app";
              s.bind = {"unix:/run/a.sock", "[::]:80", "0.0.0.0:80"};
              s.env = {{"_A1", ""}, {"B", "x=y\n"}};
              s.timeout = s.graceful_timeout = s.keepalive = Milliseconds{0};
              s.boot_timeout = Milliseconds{1000};
              s.client_header_timeout = s.client_body_timeout = s.send_timeout = Milliseconds{1};
              s.limit_request_line = s.limit_request_field_size = 64;
              s.limit_request_fields = 1;
              s.limit_request_body = 0;
              s.backlog = 65535;
              s.unix_socket_mode = "600";
              s.root_path = "/a/b c";
              s.worker_connections = 1'000'000;
              s.warmup_paths = {"/", "/login?next=/"};
            }),
            "");
}

TEST(Validate, NamesEachFieldThatBreaksItsRule) {
  const std::pair<const char*, std::function<void(AppSpec&)>> cases[] = {
      {"spec.directory", [](AppSpec& s) { s.directory = ""; }},
      {"spec.directory", [](AppSpec& s) { s.directory = "srv/web"; }},
      {"spec.directory", [](AppSpec& s) { s.directory = "/srv\x1b[1m"; }},
      {"spec.directory", [](AppSpec& s) { s.directory = "/" + std::string(4095, 'x'); }},
      {"spec.app", [](AppSpec& s) { s.app = ""; }},
      {"spec.app", [](AppSpec& s) { s.app = "wsgi:"; }},
      {"spec.app", [](AppSpec& s) { s.app = ":app"; }},
      {"spec.app", [](AppSpec& s) { s.app = "wsgi:app:more"; }},
      {"spec.app", [](AppSpec& s) { s.app = "wsgi:make("; }},
      {"spec.app", [](AppSpec& s) { s.app = "wsgi:make()x"; }},
      {"spec.app", [](AppSpec& s) { s.app = "wsgi:('prod')"; }},
      {"spec.app", [](AppSpec& s) { s.app = "make()"; }},
      {"spec.app", [](AppSpec& s) { s.app = "wsgi:make('\n')"; }},
      {"spec.app", [](AppSpec& s) { s.app = "a..b:app"; }},
      {"spec.app", [](AppSpec& s) { s.app = "wsgi.py:9app"; }},
      {"spec.app", [](AppSpec& s) { s.app = "../wsgi:app"; }},
      {"spec.app", [](AppSpec& s) { s.app = std::string(1000, 'm') + ":app"; }},
      {"spec.bind", [](AppSpec& s) { s.bind.clear(); }},
      {"spec.bind", [](AppSpec& s) { s.bind.assign(33, "127.0.0.1:80"); }},
      {"spec.bind[0]", [](AppSpec& s) { s.bind = {"nonsense"}; }},
      {"spec.bind[1]",
       [](AppSpec& s) {
         s.bind = {"localhost:80", "127.0.0.1:80"};
       }},
      {"spec.workers", [](AppSpec& s) { s.workers = 0; }},
      {"spec.workers", [](AppSpec& s) { s.workers = 1025; }},
      {"spec.workers", [](AppSpec& s) { s.workers = -1; }},
      {"spec.threads", [](AppSpec& s) { s.threads = 0; }},
      {"spec.threads", [](AppSpec& s) { s.threads = 257; }},
      {"spec.worker_class", [](AppSpec& s) { s.worker_class = "quantum"; }},
      {"spec.worker_class", [](AppSpec& s) { s.worker_class = ""; }},
      {"spec.worker_class",
       [](AppSpec& s) {
         s.worker_class = "quantum";
         s.threads = 2;
       }},
      {"spec.threads",
       [](AppSpec& s) {
         s.worker_class = "gevent";
         s.threads = 2;
       }},
      {"spec.worker_connections", [](AppSpec& s) { s.worker_connections = 0; }},
      {"spec.worker_connections", [](AppSpec& s) { s.worker_connections = 1'000'001; }},
      {"spec.loop", [](AppSpec& s) { s.loop = "trio"; }},
      {"spec.lifespan", [](AppSpec& s) { s.lifespan = "ON"; }},
      {"spec.unix_socket_mode", [](AppSpec& s) { s.unix_socket_mode = ""; }},
      {"spec.unix_socket_mode", [](AppSpec& s) { s.unix_socket_mode = "66"; }},
      {"spec.unix_socket_mode", [](AppSpec& s) { s.unix_socket_mode = "0668"; }},
      {"spec.unix_socket_mode", [](AppSpec& s) { s.unix_socket_mode = "4666"; }},
      {"spec.unix_socket_mode", [](AppSpec& s) { s.unix_socket_mode = "rw-rw----"; }},
      {"spec.root_path", [](AppSpec& s) { s.root_path = "shop"; }},
      {"spec.root_path", [](AppSpec& s) { s.root_path = "/"; }},
      {"spec.root_path", [](AppSpec& s) { s.root_path = "/shop/"; }},
      {"spec.root_path", [](AppSpec& s) { s.root_path = "/a\nb"; }},
      {"spec.root_path", [](AppSpec& s) { s.root_path = "/" + std::string(1024, 'x'); }},
      {"spec.python", [](AppSpec& s) { s.python = "python3"; }},
      {"spec.env",
       [](AppSpec& s) {
         s.env = {{"1A", "x"}};
       }},
      {"spec.env",
       [](AppSpec& s) {
         s.env = {{"A=B", "x"}};
       }},
      {"spec.env",
       [](AppSpec& s) {
         s.env = {{"É", "x"}};
       }},
      {"spec.env.A",
       [](AppSpec& s) {
         s.env = {{"A", std::string("x\0y", 3)}};
       }},
      {"spec.env.A",
       [](AppSpec& s) {
         s.env = {{"A", "<redacted>"}};
       }},
      {"spec.env.A",
       [](AppSpec& s) {
         s.env = {{"A", std::string(70'000, 'x')}};
       }},
      {"spec.env",
       [](AppSpec& s) {
         for (const char* name : {"A", "B", "C", "D", "E"}) s.env[name] = std::string(60'000, 'x');
       }},
      {"spec.timeout", [](AppSpec& s) { s.timeout = Milliseconds{-1}; }},
      {"spec.timeout", [](AppSpec& s) { s.timeout = Milliseconds{86'400'001}; }},
      {"spec.graceful_timeout", [](AppSpec& s) { s.graceful_timeout = Milliseconds{-1}; }},
      {"spec.keepalive", [](AppSpec& s) { s.keepalive = Milliseconds{86'400'001}; }},
      {"spec.boot_timeout", [](AppSpec& s) { s.boot_timeout = Milliseconds{999}; }},
      {"spec.client_header_timeout", [](AppSpec& s) { s.client_header_timeout = Milliseconds{0}; }},
      {"spec.client_body_timeout", [](AppSpec& s) { s.client_body_timeout = Milliseconds{0}; }},
      {"spec.send_timeout", [](AppSpec& s) { s.send_timeout = Milliseconds{0}; }},
      {"spec.limit_request_line", [](AppSpec& s) { s.limit_request_line = 63; }},
      {"spec.limit_request_fields", [](AppSpec& s) { s.limit_request_fields = 1001; }},
      {"spec.limit_request_field_size", [](AppSpec& s) { s.limit_request_field_size = 65537; }},
      {"spec.limit_request_body", [](AppSpec& s) { s.limit_request_body = -1; }},
      {"spec.warmup_paths", [](AppSpec& s) { s.warmup_paths.assign(33, "/"); }},
      {"spec.warmup_paths[1]",
       [](AppSpec& s) {
         s.warmup_paths = {"/", "login"};
       }},
      {"spec.warmup_paths[0]", [](AppSpec& s) { s.warmup_paths = {"/a b"}; }},
      {"spec.warmup_paths[0]", [](AppSpec& s) { s.warmup_paths = {"/a\r\nX: y"}; }},
      {"spec.backlog", [](AppSpec& s) { s.backlog = 0; }},
  };
  int index = 0;
  for (const auto& [field, edit] : cases) {
    EXPECT_EQ(broken(edit), field) << "case " << index;
    ++index;
  }
}

TEST(Validate, ReportsEverythingAtOnce) {
  EXPECT_EQ(broken([](AppSpec& s) {
              s.directory = "here";
              s.bind = {"x", "127.0.0.1:0"};
              s.workers = 0;
              s.python = "";
            }),
            "spec.directory spec.bind[0] spec.bind[1] spec.workers spec.python");
}

TEST(Validate, SaysTheRuleTheValueAndWhatToDo) {
  AppSpec spec = good();
  spec.workers = 100'000;
  const auto violations = validate(spec);
  ASSERT_EQ(violations.size(), 1u);
  const std::string& text = violations[0].description;
  EXPECT_NE(text.find("1 to 1024"), std::string::npos) << text;
  EXPECT_NE(text.find("100000"), std::string::npos) << text;
  EXPECT_NE(text.find("stop the app"), std::string::npos) << text;
}

TEST(Validate, TakesEveryClassAndEachFormOfAnApp) {
  for (const char* name : {"auto", "sync", "gthread", "gevent", "eventlet", "tornado", "asgi"}) {
    EXPECT_EQ(broken([&](AppSpec& s) { s.worker_class = name; }), "") << name;
  }
  for (const char* app :
       {"wsgi", "pkg.wsgi", "wsgi:make()", "wsgi:site.make('prod: é', debug=True)"}) {
    EXPECT_EQ(broken([&](AppSpec& s) { s.app = app; }), "") << app;
  }
}

TEST(Validate, ListsTheClassesThatThereAre) {
  AppSpec spec = good();
  spec.worker_class = "quantum";
  const auto violations = validate(spec);
  ASSERT_EQ(violations.size(), 1U);
  EXPECT_EQ(violations[0].description,
            "must be \"auto\", \"sync\", \"gthread\", \"gevent\", \"eventlet\", \"tornado\" or "
            "\"asgi\", but got \"quantum\": choose one of these");
}

TEST(Validate, TellsAViolationOfAFieldFromOneThatComparesWithIt) {
  AppSpec spec = good();
  spec.health_path = "/healthz";
  spec.health_timeout = spec.boot_timeout = Milliseconds(2000);
  spec.health_tries = 2;
  const auto violations = validate(spec);
  ASSERT_EQ(violations.size(), 1U);
  EXPECT_EQ(violations[0].field, "spec.health_timeout");
  EXPECT_TRUE(is_about(violations[0], "spec.health_timeout"));
  EXPECT_TRUE(is_about(violations[0], "spec.boot_timeout")) << "which it is longer than";
  EXPECT_FALSE(is_about(violations[0], "spec.timeout")) << "which is but a part of their names";
  EXPECT_FALSE(is_about(violations[0], "spec.run_mode"));
}

TEST(Validate, SaysWhatToUseInsteadOfThreads) {
  AppSpec spec = good();
  spec.worker_class = "gevent";
  spec.threads = 4;
  const auto violations = validate(spec);
  ASSERT_EQ(violations.size(), 1U);
  EXPECT_EQ(violations[0].description,
            "is for the classes sync and gthread, but got 4 with the class gevent: set threads to "
            "1 and bound requests by worker_connections");
}

}  // namespace
}  // namespace appd::model
