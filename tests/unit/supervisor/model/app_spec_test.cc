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
  spec.worker_connections = 69;
  spec.forwarded_allow_ips = " 10.0.0.1 , ::1";
  spec.proxy_protocol = "auto";
  spec.proxy_allow_ips = " ";
  spec.access_log = true;
  spec.access_log_format = "json";
  spec.ws_max_size = 70;
  spec.ws_ping_interval = Milliseconds{71};
  spec.ws_ping_timeout = Milliseconds{72};
  spec.ws_per_message_deflate = false;
  spec.ws_drain_timeout = Milliseconds{73};
  spec.startsecs = Milliseconds{74};
  spec.stop_signal = "QUIT";
  spec.health_path = "/healthz";
  spec.health_status = "200-399";
  spec.health_timeout = Milliseconds{74};
  spec.health_tries = 75;
  spec.request_timeout = Milliseconds{74};
  const message::Settings expected{.revision = 9,
                                   .threads = 3,
                                   .timeout_ms = 1,
                                   .request_timeout_ms = 74,
                                   .graceful_timeout_ms = 2,
                                   .keepalive_ms = 3,
                                   .client_header_timeout_ms = 4,
                                   .client_body_timeout_ms = 5,
                                   .send_timeout_ms = 6,
                                   .limit_request_line = 65,
                                   .limit_request_fields = 66,
                                   .limit_request_field_size = 67,
                                   .limit_request_body = 68,
                                   .worker_connections = 69,
                                   .forwarded_allow_ips = "10.0.0.1,::1",
                                   .proxy_protocol = "auto",
                                   .proxy_allow_ips = "",
                                   .access_log = true,
                                   .access_log_format = "json",
                                   .ws_max_size = 70,
                                   .ws_ping_interval_ms = 71,
                                   .ws_ping_timeout_ms = 72,
                                   .ws_per_message_deflate = false,
                                   .websocket_drain_ms = 73,
                                   .startsecs_ms = 74,
                                   .stop_signal = 3,
                                   .health_path = "/healthz",
                                   .health_status_first = 200,
                                   .health_status_last = 399,
                                   .health_timeout_ms = 74,
                                   .health_tries = 75,
                                   .log_prefix = true};
  EXPECT_EQ(live_settings(spec, 9), expected);
}

TEST(NeedsRollout, OnlyForWhatARunningWorkerCannotTakeOver) {
  const auto rollout = [](const std::function<void(AppSpec&)>& edit) {
    AppSpec to = good();
    edit(to);
    return needs_rollout(good(), to, "sync");
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
    s.unix_socket_mode = "0600";
    s.worker_connections = 5;
    s.forwarded_allow_ips = s.proxy_allow_ips = "*";
    s.proxy_protocol = "v1";
    s.access_log = true;
    s.access_log_format = "json";
    s.ws_max_size = 5;
    s.ws_ping_interval = s.ws_ping_timeout = s.ws_drain_timeout = Milliseconds{5};
    s.ws_per_message_deflate = false;
    s.health_path = "/healthz";
    s.health_status = "204";
    s.health_timeout = Milliseconds{5};
    s.health_tries = 1;
    s.max_surge = s.canary = 1;
    s.memory_budget = 5;
    s.bake = Milliseconds{5};
    s.max_error_rate = s.max_latency_factor = 5;
    s.log_prefix = false;
    s.log_max_size = 0;
    s.log_max_age = Milliseconds{3'600'000};
    s.log_keep = 0;
    s.request_timeout = s.max_worker_lifetime = s.max_worker_lifetime_jitter = Milliseconds{5000};
    s.max_requests = s.max_requests_jitter = 5;
    s.max_memory = std::int64_t{1} << 30;
    s.limit_memory = s.limit_memory_high = std::int64_t{1} << 30;
    s.limit_cpu = 1.5;
    s.limit_pids = 64;
    s.require_limits = true;
  }));
  EXPECT_TRUE(rollout([](AppSpec& s) { s.directory = "/x"; }));
  EXPECT_TRUE(rollout([](AppSpec& s) { s.app = "x:app"; }));
  EXPECT_TRUE(rollout([](AppSpec& s) { s.python = "/x"; }));
  EXPECT_TRUE(rollout([](AppSpec& s) { s.env["A"] = "b"; }));
  EXPECT_TRUE(rollout([](AppSpec& s) { s.preload = Preload::Off; }));
  EXPECT_TRUE(rollout([](AppSpec& s) { s.warmup_paths = {"/"}; }));
  EXPECT_TRUE(rollout([](AppSpec& s) { s.user = "www-data"; }));
  EXPECT_TRUE(rollout([](AppSpec& s) { s.group = "www-data"; }));
  EXPECT_TRUE(rollout([](AppSpec& s) { s.umask = "0077"; }));
  EXPECT_TRUE(rollout([](AppSpec& s) { s.no_new_privs = false; }));
  EXPECT_TRUE(rollout([](AppSpec& s) { s.limit_nofile = 100; }));
  EXPECT_TRUE(rollout([](AppSpec& s) { s.limit_nproc = 100; }));
  EXPECT_TRUE(rollout([](AppSpec& s) { s.limit_core = 0; }));
  EXPECT_TRUE(rollout([](AppSpec& s) { s.limit_as = std::int64_t{1} << 30; }));
  EXPECT_TRUE(rollout([](AppSpec& s) { s.bind = {"127.0.0.1:8001"}; }));
  EXPECT_TRUE(rollout([](AppSpec& s) { s.backlog = 9; }));
  EXPECT_TRUE(rollout([](AppSpec& s) { s.worker_class = "gevent"; }));
  EXPECT_TRUE(rollout([](AppSpec& s) { s.root_path = "/x"; }));
  EXPECT_TRUE(rollout([](AppSpec& s) { s.loop = "uvloop"; }));
  EXPECT_TRUE(rollout([](AppSpec& s) { s.lifespan = "on"; }));
}

TEST(NeedsRollout, ForAClassGoesByWhatServes) {
  AppSpec to = good();
  to.worker_class = "gthread";
  EXPECT_FALSE(needs_rollout(good(), to, "gthread"));
  EXPECT_TRUE(needs_rollout(good(), to, "asgi"));
  EXPECT_TRUE(needs_rollout(good(), to, "")) << "it may turn out to be asgi";
}

TEST(WithCodeOf, TakesTheClassBackWithItsThreadsAndKeepsWhatIsLive) {
  AppSpec before = good();
  before.threads = 8;
  before.root_path = "/old";
  AppSpec refused = good();
  refused.worker_class = "gevent";
  refused.app = "broken:app";
  refused.workers = 17;
  refused.ws_max_size = 5;
  AppSpec expected = before;
  expected.workers = 17;
  expected.ws_max_size = 5;
  EXPECT_EQ(with_code_of(refused, before, "gthread"), expected);
}

TEST(WithCodeOf, LeavesAClassAloneThatWasTakenOnInPlace) {
  AppSpec refused = good();
  refused.worker_class = "gthread";
  refused.threads = 8;
  EXPECT_EQ(with_code_of(refused, good(), "sync"), refused);
}

}  // namespace
}  // namespace appd::model
