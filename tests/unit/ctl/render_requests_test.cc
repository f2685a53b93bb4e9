// Requests in hand as a table.
#include <google/protobuf/util/time_util.h>
#include <gtest/gtest.h>

#include "ctl/render.h"

namespace appd::ctl {
namespace {

v1::RequestInHand request(const std::string& name, std::int64_t age_ms, const std::string& path,
                          v1::Death::Request::Stage stage) {
  v1::RequestInHand out;
  out.set_name(name);
  out.set_pid(4242);
  out.set_method("GET");
  out.set_path(path);
  out.set_stage(stage);
  *out.mutable_age() = google::protobuf::util::TimeUtil::MillisecondsToDuration(age_ms);
  return out;
}

TEST(RenderRequests, ShowsIdAgeStageAndRoute) {
  v1::ListRequestsResponse list;
  *list.add_requests() =
      request("apps/web/workers/3/requests/1207", 125'310, "/report", v1::Death::Request::IN_APP);
  *list.add_requests() =
      request("apps/web/workers/1/requests/9", 310, "/a\x1b[31m", v1::Death::Request::SENDING);
  EXPECT_EQ(render_requests(list, false, {}),
            "ID       PID     AGE  STAGE    METHOD  PATH\n"
            "3/1207  4242   2m05s  in app   GET     /report\n"
            "1/9     4242  0.310s  sending  GET     /a\\x1b[31m\n");
  EXPECT_EQ(render_requests(list, true, {}).substr(0, 3), "APP");
}

TEST(RenderRequests, TellsOfThoseWithoutAName) {
  v1::ListRequestsResponse list;
  EXPECT_EQ(render_requests(list, false, {}), "no requests in hand\n");
  list.set_websockets(1);
  EXPECT_EQ(render_requests(list, false, {}), "no requests in hand\n1 WebSocket is open\n");
  list.set_unnamed(7);
  EXPECT_NE(render_requests(list, false, {}).find("and 7 more"), std::string::npos);
}

}  // namespace
}  // namespace appd::ctl
