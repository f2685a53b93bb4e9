// What was cut off, in words.
#include <gtest/gtest.h>

#include "ctl/render.h"

namespace appd::ctl {
namespace {

v1::Cut::Worker& add_worker(v1::Cut& cut, std::int32_t number, const char* limit) {
  v1::Cut::Worker& worker = *cut.add_cut_workers();
  worker.set_worker(number);
  worker.set_limit(limit);
  worker.set_death("apps/web/deaths/" + std::to_string(number));
  cut.set_workers(cut.workers() + 1);
  return worker;
}

void add_request(v1::Cut& cut, v1::Cut::Worker& worker, const char* method, const char* path,
                 v1::Death::Request::Stage stage) {
  v1::Death::Request& request = *worker.add_requests_in_hand();
  request.set_method(method);
  request.set_path(path);
  request.mutable_age()->set_seconds(31);
  request.set_stage(stage);
  worker.set_requests(worker.requests() + 1);
  cut.set_requests(cut.requests() + 1);
}

v1::Cut two_kinds() {
  v1::Cut cut;
  cut.mutable_graceful_timeout()->set_seconds(30);
  v1::Cut::Worker& third = add_worker(cut, 3, "graceful_timeout");
  add_request(cut, third, "GET", "/long", v1::Death::Request::IN_APP);
  add_request(cut, third, "POST", "/up\x1b", v1::Death::Request::RECEIVING);
  v1::Cut::Worker& fourth = add_worker(cut, 4, "graceful_timeout");
  add_request(cut, fourth, "GET", "/file", v1::Death::Request::SENDING);
  fourth.set_websockets(2);
  cut.set_websockets(2);
  return cut;
}

TEST(RenderCut, NamesEachRequestAndItsWorker) {
  EXPECT_EQ(render_cut(two_kinds(), {}),
            "3 requests and 2 WebSockets were cut at graceful_timeout (30s):\n"
            "  worker 3  GET /long, for 31.000s\n"
            "  worker 3  POST /up\\x1b, for 31.000s, its body was still to come\n"
            "  worker 4  GET /file, for 31.000s, its client was still reading\n"
            "  worker 4  2 WebSockets\n");
}

TEST(RenderCut, SaysAtWhichLimitWhenThatIsNotTheUsualOne) {
  v1::Cut cut;
  add_request(cut, add_worker(cut, 3, "timeout"), "GET", "/a", v1::Death::Request::IN_APP);
  EXPECT_EQ(render_cut(cut, {}),
            "1 request was cut:\n  worker 3  GET /a, for 31.000s, at timeout\n");
}

TEST(RenderCut, CountsThoseThatAreTooManyToBeNamed) {
  v1::Cut cut;
  v1::Cut::Worker& worker = add_worker(cut, 3, "graceful_timeout");
  for (int i = 0; i < 12; ++i) {
    add_request(cut, worker, "GET", "/a", v1::Death::Request::IN_APP);
  }
  const std::string text = render_cut(cut, {});
  EXPECT_NE(text.find("  and 2 others; see `appctl workers web --dead`\n"), std::string::npos)
      << text;
}

TEST(RenderCut, AWorkerWithNothingInHandIsTold) {
  v1::Cut cut;
  cut.mutable_graceful_timeout()->set_seconds(1);
  add_worker(cut, 3, "graceful_timeout");
  EXPECT_EQ(render_cut(cut, {}), "1 worker was cut at graceful_timeout (1s):\n  worker 3\n");
}

TEST(RenderCut, TheHistoryCountsThem) {
  v1::ListRevisionsResponse history;
  v1::Revision& revision = *history.add_revisions();
  revision.set_number(2);
  revision.set_method("ReloadApp");
  revision.set_outcome(v1::Operation::SUCCEEDED);
  *revision.mutable_cut() = two_kinds();
  EXPECT_NE(render_history(history, {}).find("succeeded, 3 requests and 2 WebSockets cut"),
            std::string::npos);
}

}  // namespace
}  // namespace appd::ctl
