// What follows from a spec for those who run it.
#include "supervisor/model/app_spec.h"

#include <gtest/gtest.h>

#include <functional>

namespace appd::model {
namespace {

AppSpec good() {
  AppSpec spec;
  spec.directory = "/srv/web";
  spec.app = "wsgi:app";
  spec.bind = {"127.0.0.1:8000"};
  return spec;
}

TEST(AppId, IsALowerCaseLabel) {
  for (const char* id : {"a", "web", "web-2", "a--b", "x9"}) EXPECT_TRUE(valid_app_id(id)) << id;
  EXPECT_TRUE(valid_app_id("a" + std::string(62, 'b')));
  for (const char* id : {"", "Web", "9web", "-web", "web-", "we b", "web/x", "web.x", "wéb", "-"}) {
    EXPECT_FALSE(valid_app_id(id)) << id;
  }
  EXPECT_FALSE(valid_app_id("a" + std::string(63, 'b')));
}

TEST(WorkerClass, ThreadsTurnSyncIntoGthread) {
  AppSpec spec = good();
  EXPECT_EQ(effective_worker_class(spec), "sync");
  spec.threads = 2;
  EXPECT_EQ(effective_worker_class(spec), "gthread");
  spec.worker_class = "gthread";
  spec.threads = 1;
  EXPECT_EQ(effective_worker_class(spec), "gthread");
}

TEST(LiveSettings, CarryEveryFieldOfTheSpec) {
  AppSpec spec = good();
  spec.threads = 3;
  spec.timeout = Milliseconds{1};
  spec.graceful_timeout = Milliseconds{2};
  spec.keepalive = Milliseconds{3};
  spec.client_header_timeout = Milliseconds{4};
  spec.client_body_timeout = Milliseconds{5};
  spec.send_timeout = Milliseconds{6};
  spec.limit_request_line = 65;
  spec.limit_request_fields = 66;
  spec.limit_request_field_size = 67;
  spec.limit_request_body = 68;
  const message::Settings expected{.revision = 9,
                                   .threads = 3,
                                   .timeout_ms = 1,
                                   .graceful_timeout_ms = 2,
                                   .keepalive_ms = 3,
                                   .client_header_timeout_ms = 4,
                                   .client_body_timeout_ms = 5,
                                   .send_timeout_ms = 6,
                                   .limit_request_line = 65,
                                   .limit_request_fields = 66,
                                   .limit_request_field_size = 67,
                                   .limit_request_body = 68};
  EXPECT_EQ(live_settings(spec, 9), expected);
}

TEST(NeedsRollout, OnlyForWhatARunningWorkerCannotTakeOver) {
  const auto rollout = [](const std::function<void(AppSpec&)>& edit) {
    AppSpec to = good();
    edit(to);
    return needs_rollout(good(), to);
  };
  EXPECT_FALSE(rollout([](AppSpec& s) {
    s.workers = 17;
    s.threads = 8;
    s.worker_class = "gthread";
    s.run_mode = RunMode::Stopped;
    s.timeout = s.graceful_timeout = s.keepalive = s.boot_timeout = Milliseconds{5000};
    s.limit_request_line = 100;
    s.limit_request_body = 5;
    s.send_timeout = Milliseconds{5};
  }));
  EXPECT_TRUE(rollout([](AppSpec& s) { s.directory = "/x"; }));
  EXPECT_TRUE(rollout([](AppSpec& s) { s.app = "x:app"; }));
  EXPECT_TRUE(rollout([](AppSpec& s) { s.python = "/x"; }));
  EXPECT_TRUE(rollout([](AppSpec& s) { s.env["A"] = "b"; }));
  EXPECT_TRUE(rollout([](AppSpec& s) { s.preload = Preload::Off; }));
  EXPECT_TRUE(rollout([](AppSpec& s) { s.warmup_paths = {"/"}; }));
  EXPECT_TRUE(rollout([](AppSpec& s) { s.bind = {"127.0.0.1:8001"}; }));
  EXPECT_TRUE(rollout([](AppSpec& s) { s.backlog = 9; }));
  EXPECT_TRUE(rollout([](AppSpec& s) { s.worker_class = "gevent"; }));
}

}  // namespace
}  // namespace appd::model
