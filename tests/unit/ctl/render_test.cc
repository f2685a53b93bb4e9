// The views: whole texts, so that a change of the look is seen in a review.
#include "ctl/render.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <ctime>

#include "ctl/json.h"
#include "ctl/progress.h"

namespace appd::ctl {
namespace {

using std::chrono::milliseconds;

constexpr std::int64_t kNow = 1'700'000'000;
const WallTime kNowTime = std::chrono::system_clock::from_time_t(kNow);

v1::App web() {
  v1::App app;
  app.set_name("apps/web");
  app.set_generation(5);
  app.set_etag("W/\"7\"");
  app.mutable_spec()->set_directory("/srv/web");
  app.mutable_spec()->set_app("wsgi:app");
  app.mutable_spec()->add_bind("127.0.0.1:8000");
  app.mutable_spec()->set_workers(17);
  app.mutable_spec()->set_threads(8);
  app.mutable_spec()->set_worker_class("sync");
  v1::AppObserved& observed = *app.mutable_observed();
  observed.set_state(v1::AppObserved::ACTIVE);
  observed.set_generation(5);
  observed.set_ready_workers(17);
  observed.set_rollout(3);
  observed.set_worker_class("gthread");
  observed.set_preloaded(true);
  observed.set_python_version("3.11.2");
  app.mutable_observed()->set_process_state(v1::RUNNING);
  return app;
}

v1::App broken() {
  v1::App app;
  app.set_name("apps/broken");
  app.mutable_spec()->set_directory("/srv/broken");
  app.mutable_spec()->set_workers(4);
  v1::AppObserved& observed = *app.mutable_observed();
  observed.set_state(v1::AppObserved::FAILING);
  observed.set_worker_class("sync");
  v1::Failure& failure = *observed.mutable_last_failure();
  failure.set_cause(v1::Failure::IMPORT_FAILED);
  failure.set_message("ModuleNotFoundError: No module named 'x'");
  failure.set_traceback("Traceback (most recent call last):\n  File \"wsgi.py\", line 1\x1b[2J\n");
  failure.mutable_time()->set_seconds(kNow - 12);
  observed.mutable_retry_time()->set_seconds(kNow + 4);
  observed.set_process_state(v1::BACKOFF);
  return app;
}

v1::ListAppsResponse both() {
  v1::ListAppsResponse apps;
  *apps.add_apps() = web();
  *apps.add_apps() = broken();
  return apps;
}

TEST(RenderList, IsAnAlignedTable) {
  EXPECT_EQ(
      render_list(both(), {}),
      "NAME    STATE    WORKERS  THREADS  CLASS         ROLLOUT  BIND            DIRECTORY\n"
      "web     active     17/17        8  sync→gthread        3  127.0.0.1:8000  /srv/web\n"
      "broken  failing      0/4        1  sync                0                  /srv/broken\n");
}

TEST(RenderList, SaysWhatToDoWhenThereIsNothing) {
  EXPECT_NE(render_list({}, {}).find("appctl create"), std::string::npos);
}

TEST(RenderApp, ShowsSpecAndObservedAndMarksDefaults) {
  const std::string text = render_app(web(), kNowTime, {});
  EXPECT_EQ(text.rfind("web  active  17/17 workers ready\nSpec (generation 5, etag W/\"7\")\n", 0),
            0U)
      << text;
  EXPECT_NE(text.find("\n  workers                     17\n"), std::string::npos) << text;
  EXPECT_NE(text.find("\n  backlog                     2048  (default)\n"), std::string::npos)
      << text;
  EXPECT_NE(text.find("\n  worker class                sync→gthread\n"), std::string::npos) << text;
  EXPECT_EQ(text.find("Last failure"), std::string::npos);
}

TEST(RenderApp, ShowsTheTracebackOfTheLastFailureEscaped) {
  const std::string text = render_app(broken(), kNowTime, {});
  EXPECT_NE(
      text.find(
          "Last failure\n"
          "  ModuleNotFoundError: No module named 'x' (import failed, 12s ago; next try in 4s)\n"
          "    Traceback (most recent call last):\n"
          "      File \"wsgi.py\", line 1\\x1b[2J\n"),
      std::string::npos)
      << text;
}

TEST(RenderStatus, FitsOneScreen) {
  v1::ServerInfo server;
  server.set_version("0.1.0");
  server.set_pid(4242);
  server.set_revision(118);
  server.set_state_dir("/var/lib/appd");
  server.mutable_start_time()->set_seconds(kNow - 192);
  server.add_listen("unix:/run/appd/appd.sock");
  v1::ListWorkersResponse workers;
  for (int id = 1; id <= 2; ++id) {
    v1::Worker& worker = *workers.add_workers();
    worker.set_name("apps/web/workers/" + std::to_string(id));
    worker.set_requests(std::int64_t{100} * id);
    worker.set_busy(1);
  }
  EXPECT_EQ(render_status(server, both(), workers, kNowTime, {}),
            "appd 0.1.0  pid 4242  up 3m12s  revision 118\n"
            "state in /var/lib/appd\n"
            "listens on unix:/run/appd/appd.sock\n"
            "\n"
            "APP     STATE    PROCESS  WORKERS  CLASS         THREADS  ROLLOUT  REQUESTS  ERRORS  "
            "BUSY\n"
            "web     active   RUNNING    17/17  sync→gthread        8        3       300       0  "
            "   2\n"
            "broken  failing  BACKOFF      0/4  sync                1        0         0       0  "
            "   0\n"
            "\n"
            "broken: ModuleNotFoundError: No module named 'x' (import failed, 12s ago; next try in "
            "4s)\n");
}

TEST(RenderWorkers, ShowsAgesAndTheAppOnlyWhenThereAreSeveral) {
  v1::ListWorkersResponse workers;
  v1::Worker& worker = *workers.add_workers();
  worker.set_name("apps/web/workers/3");
  worker.set_id(3);
  worker.set_pid(77);
  worker.set_state(v1::Worker::READY);
  worker.set_process_state(v1::RUNNING);
  worker.set_rollout(2);
  worker.set_worker_class("sync");
  worker.set_effective_worker_class("sync");
  worker.set_threads(1);
  worker.mutable_start_time()->set_seconds(kNow - 61);
  EXPECT_EQ(render_workers(workers, false, kNowTime, {}),
            "ID  PID  STATE  PROCESS  ROLLOUT  CLASS  THREADS    AGE  REQUESTS  ERRORS  BUSY  "
            "CONNECTIONS\n"
            " 3   77  ready  RUNNING        2  sync         1  1m01s         0       0     0       "
            "     0\n");
  EXPECT_EQ(render_workers(workers, true, kNowTime, {}).rfind("APP  ID", 0), 0U);
}

TEST(RenderDeath, ShowsCausesInATableAndOneInFullEscaped) {
  v1::ListDeathsResponse deaths;
  EXPECT_EQ(render_deaths(deaths, false, kNowTime, {}), "no worker has died\n");
  v1::Death& death = *deaths.add_deaths();
  death.set_name("apps/web/deaths/5");
  death.set_worker(3);
  death.set_pid(77);
  death.set_rollout(2);
  death.set_cause(v1::Death::GRACEFUL_TIMEOUT);
  death.set_reason("was killed");
  death.set_signal(9);
  death.set_busy(2);
  death.mutable_start_time()->set_seconds(kNow - 70);
  death.mutable_end_time()->set_seconds(kNow - 10);
  v1::Death::Request& request = *death.add_requests_in_hand();
  request.set_method("GET");
  request.set_path("/slow\n");
  request.mutable_age()->set_seconds(31);
  death.set_log_tail("one\x1b[2J\n");
  EXPECT_EQ(render_deaths(deaths, false, kNowTime, {}).rfind("ID  AGO  WORKER  PID", 0), 0U);
  EXPECT_EQ(render_deaths(deaths, true, kNowTime, {}).rfind("APP  ID", 0), 0U);
  const std::string text = render_death(death, kNowTime, {});
  for (const char* words : {"apps/web/deaths/5  graceful timeout\n", "GET /slow\\n, for 31",
                            "    one\\x1b[2J\n", "signal                      9\n", "never"}) {
    EXPECT_NE(text.find(words), std::string::npos) << words << " in\n" << text;
  }
}

v1::WatchResponse event_at(std::int64_t revision) {
  v1::WatchResponse event;
  event.set_revision(revision);
  event.mutable_time()->set_seconds(kNow);
  event.mutable_time()->set_nanos(123'000'000);
  return event;
}

class RenderEvent : public ::testing::Test {
 protected:
  void SetUp() override {
    ::setenv("TZ", "UTC", 1);
    ::tzset();
  }
};

TEST_F(RenderEvent, SaysWhatHappenedInOneLine) {
  v1::WatchResponse event = event_at(42);
  *event.mutable_app() = web();
  EXPECT_EQ(render_event(event, {}),
            "22:13:20.123  42      web  active, 17 of 17 workers ready, rollout 3\n");
  event.mutable_removed()->set_name("apps/web/workers/3");
  EXPECT_EQ(render_event(event, {}), "22:13:20.123  42      web  workers/3 removed\n");
  event.mutable_note()->set_app("apps/web");
  event.mutable_note()->set_text("preload off:\nthreads");
  EXPECT_EQ(render_event(event, {}), "22:13:20.123  42      web  note: preload off:\\nthreads\n");
}

TEST_F(RenderEvent, ShowsOperationsAndExits) {
  v1::WatchResponse event = event_at(1'234'567);
  v1::Operation& operation = *event.mutable_operation();
  operation.set_app("apps/web");
  operation.set_kind(v1::Operation::RELOAD);
  operation.set_phase(v1::Operation::SWITCHING);
  operation.mutable_progress()->set_ready_workers(12);
  operation.mutable_progress()->set_wanted_workers(17);
  EXPECT_EQ(render_event(event, {}),
            "22:13:20.123  1234567  web  reload switching, 12 of 17 workers ready\n");
  v1::Worker& worker = *event.mutable_worker();
  worker.set_name("apps/web/workers/3");
  worker.set_id(3);
  worker.set_pid(9);
  worker.set_state(v1::Worker::EXITED);
  worker.set_exit_reason("killed by signal 9");
  EXPECT_EQ(render_event(event, {}),
            "22:13:20.123  1234567  web  worker 3 exited, pid 9, rollout 0: killed by signal 9\n");
}

TEST_F(RenderEvent, IsSilentAboutSynced) {
  v1::WatchResponse event = event_at(1);
  event.mutable_synced();
  EXPECT_EQ(render_event(event, {}), "");
}

TEST(RenderDiff, MarksWhatComesGoesAndChanges) {
  const std::vector<FieldChange> changes = {
      {"workers", "4", "17"}, {"env.A", std::nullopt, "x"}, {"env.B", "y", std::nullopt}};
  EXPECT_EQ(render_diff(changes, {}), "  ~ workers: 4 → 17\n  + env.A: x\n  - env.B: y\n");
}

TEST(ToJson, UsesTheProtosNamesAndShowsZeros) {
  v1::Worker worker;
  worker.set_id(3);
  const std::string text = *to_json(worker, true);
  EXPECT_NE(text.find("\"id\":3"), std::string::npos) << text;
  EXPECT_NE(text.find("\"worker_class\":\"\""), std::string::npos) << text;
  EXPECT_NE(text.find("\"busy\":0"), std::string::npos) << text;
}

TEST(ToJson, FailsOnADetailThatOnlyANewerAppdKnows) {
  v1::Operation operation;
  google::protobuf::Any& detail = *operation.mutable_error()->add_details();
  detail.set_type_url("type.googleapis.com/appd.v9.Unheard");
  detail.set_value("\x0a\x01x");
  EXPECT_FALSE(to_json(operation));
}

TEST(ProgressLine, TellsPhaseWorkersAndTime) {
  v1::Operation operation;
  operation.set_app("apps/myapp");
  operation.set_phase(v1::Operation::SWITCHING);
  operation.mutable_progress()->set_ready_workers(12);
  operation.mutable_progress()->set_wanted_workers(17);
  EXPECT_EQ(progress_line(operation, milliseconds(20)), "myapp  switching  12/17 ready  0.020s");
  operation.mutable_progress()->set_draining_workers(3);
  EXPECT_EQ(progress_line(operation, milliseconds(1'020)),
            "myapp  switching  12/17 ready  3 draining  1.020s");
}

}  // namespace
}  // namespace appd::ctl
