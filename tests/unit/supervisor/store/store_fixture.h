// What the store's tests share: a directory of their own, and values with no default left in them.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "supervisor/model/observed.h"
#include "supervisor/store/store.h"

namespace appd::store {

// Owns a fresh directory under the system's temporary one; removed at the end.
class StoreTest : public testing::Test {
 protected:
  StoreTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "appd-store-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) std::abort();
    directory_ = pattern;
  }
  ~StoreTest() override { std::filesystem::remove_all(directory_); }

  std::string path() const { return directory_ + "/state.db"; }
  std::unique_ptr<Store> open() const {
    auto store = Store::open(path());
    if (!store) {
      ADD_FAILURE() << store.error().message;
      std::abort();
    }
    return *std::move(store);
  }
  // The message of an open() that must fail.
  std::string refused() const {
    auto store = Store::open(path());
    if (store) return "opened";
    EXPECT_EQ(store.error().reason, "STORE_FAILED");
    return store.error().message;
  }

  std::string directory_;
};

inline model::WallTime at(std::int64_t seconds) {
  return model::WallTime(std::chrono::seconds(1'800'000'000 + seconds)) +
         std::chrono::nanoseconds(7);
}

inline model::AppSpec full_spec() {
  using model::Milliseconds;
  model::AppSpec spec;
  spec.directory = "/srv/wéb";
  spec.app = "wsgi:site.app";
  spec.bind = {"127.0.0.1:8000", "unix:/run/a.sock"};
  spec.workers = 17;
  spec.threads = 8;
  spec.worker_class = "gthread";
  spec.python = "/venv/bin/python";
  spec.env = {{"A", "1"}, {"B", "quote \" \n newline"}};
  spec.preload = model::Preload::Off;
  spec.run_mode = model::RunMode::Stopped;
  spec.timeout = Milliseconds{1001};
  spec.graceful_timeout = Milliseconds{1002};
  spec.keepalive = Milliseconds{1003};
  spec.boot_timeout = Milliseconds{1004};
  spec.limit_request_line = 1005;
  spec.limit_request_fields = 106;
  spec.limit_request_field_size = 1007;
  spec.limit_request_body = std::int64_t{1} << 40;
  spec.client_header_timeout = Milliseconds{1008};
  spec.client_body_timeout = Milliseconds{1009};
  spec.send_timeout = Milliseconds{1010};
  spec.warmup_paths = {"/", "/login"};
  spec.backlog = 11;
  spec.unix_socket_mode = "0660";
  spec.root_path = "/shop";
  spec.loop = "uvloop";
  spec.lifespan = "on";
  spec.worker_connections = 12;
  spec.forwarded_allow_ips = "*";
  spec.proxy_protocol = "v2";
  spec.proxy_allow_ips = "";
  spec.access_log = true;
  spec.access_log_format = "json";
  spec.ws_max_size = std::int64_t{1} << 33;
  spec.ws_ping_interval = Milliseconds{1011};
  spec.ws_ping_timeout = Milliseconds{1012};
  spec.ws_per_message_deflate = false;
  spec.ws_drain_timeout = Milliseconds{1013};
  spec.command = "celery -A proj worker";
  spec.startsecs = Milliseconds{1014};
  spec.stop_signal = "INT";
  spec.run_once = {"manage.py migrate", "true"};
  spec.run_once_timeout = Milliseconds{1015};
  spec.health_path = "/healthz";
  spec.health_status = "200-399";
  spec.health_timeout = Milliseconds{1014};
  spec.health_tries = 15;
  spec.max_surge = 16;
  spec.memory_budget = std::int64_t{1} << 34;
  spec.canary = 18;
  spec.bake = Milliseconds{1019};
  spec.max_error_rate = 2.5;
  spec.max_latency_factor = 1.75;
  spec.request_timeout = Milliseconds{1014};
  spec.max_requests = 1015;
  spec.max_requests_jitter = 16;
  spec.max_worker_lifetime = Milliseconds{1017};
  spec.max_worker_lifetime_jitter = Milliseconds{1018};
  spec.max_memory = std::int64_t{1} << 34;
  spec.log_prefix = false;
  spec.log_max_size = std::int64_t{1} << 34;
  spec.log_max_age = Milliseconds{std::int64_t{1} << 34};
  spec.log_keep = 13;
  spec.user = "www-data";
  spec.group = "33";
  spec.umask = "0027";
  spec.no_new_privs = false;
  spec.limit_nofile = 4096;
  spec.limit_nproc = 64;
  spec.limit_core = 0;
  spec.limit_as = std::int64_t{1} << 35;
  spec.limit_memory = std::int64_t{1} << 36;
  spec.limit_memory_high = std::int64_t{1} << 33;
  spec.limit_cpu = 1.5;
  spec.limit_pids = 64;
  spec.require_limits = true;
  return spec;
}

inline model::AppRecord app(const std::string& id) {
  model::AppRecord record;
  record.id = id;
  record.uid = "uid-of-" + id;
  record.spec = full_spec();
  record.generation = 3;
  record.version = 5;
  record.rollout = 7;
  record.revision = 8;
  record.deleting = true;
  record.last_good_spec = model::AppSpec{};
  record.failed_rollout = 6;
  record.good_rollout = 5;
  record.operation = "operation-of-" + id;
  record.run_once_rollout = 6;
  record.create_time = at(1);
  record.update_time = at(2);
  return record;
}

inline model::Operation operation(const std::string& id, const std::string& of_app) {
  model::Operation operation;
  operation.id = id;
  operation.app = of_app;
  operation.kind = model::OperationKind::Reload;
  operation.phase = model::OperationPhase::RolledBack;
  operation.generation = 4;
  operation.rollout = 6;
  operation.revision = 7;
  operation.reason = "release 9";
  operation.error_message = "rolled back";
  operation.failure =
      model::Failure{model::FailureCause::BindFailed, "port in use", "Traceback…", 6, at(3)};
  operation.ready_workers = 1;
  operation.wanted_workers = 2;
  operation.draining_workers = 3;
  operation.cut.add({3,
                     6,
                     5,
                     "graceful_timeout",
                     2,
                     1,
                     {{"PUT", "/up", model::Milliseconds{7}, model::RequestStage::Receiving},
                      {"GET", "/down", model::Milliseconds{8}, model::RequestStage::Sending}}},
                    model::Milliseconds{1002});
  operation.create_time = at(4);
  operation.end_time = at(5);
  return operation;
}

inline model::Revision revision(const std::string& of_app, std::int64_t number) {
  model::Revision revision;
  revision.app = of_app;
  revision.number = number;
  revision.generation = 4;
  revision.rollout = 6;
  revision.spec = full_spec();
  revision.time = at(6);
  revision.caller = {1000, 4242, "alice", "appctl/1.2", "token ci", "10.0.0.7:5"};
  revision.method = "ScaleApp";
  revision.reason = "release 9";
  revision.operation = "o" + std::to_string(number);
  revision.outcome = model::OperationPhase::RolledBack;
  revision.error_message = "rolled back";
  revision.cause = model::FailureCause::BindFailed;
  revision.end_time = at(7);
  revision.restores = 2;
  return revision;
}

inline model::Death death(const std::string& of_app, std::int64_t id) {
  model::Death death;
  death.app = of_app;
  death.id = id;
  death.worker = 3;
  death.pid = 4242;
  death.rollout = 7;
  death.worker_class = "asgi";
  death.start_time = at(1);
  death.ready_time = at(2);
  death.end_time = at(3);
  death.cause = model::DeathCause::OutOfMemory;
  death.reason = "was killed";
  death.limit = "memory";
  death.exit_status = 1;
  death.signal = 9;
  death.figures = {1, 2, 3, 4, 5, 6, {{"GET", "/slow", model::Milliseconds{1001}}}, 7, 8, 9};
  death.stacks = "Thread 0x1\n";
  death.log_tail = "the last line\n";
  return death;
}

inline Change put_app(const std::string& id) {
  Change change;
  change.put_app = app(id);
  return change;
}

inline Change put_deaths(std::vector<model::Death> deaths) {
  Change change;
  change.deaths = std::move(deaths);
  return change;
}

}  // namespace appd::store
