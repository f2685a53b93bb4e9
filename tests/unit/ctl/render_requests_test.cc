// Requests in hand as a table.
#include <google/protobuf/util/time_util.h>
#include <gtest/gtest.h>

#include "ctl/render.h"

namespace appd::ctl {
namespace {

v1::RequestInHand request(const std::string& name, std::int64_t age_ms, const std::string& path,
                          const std::string& client) {
  v1::RequestInHand out;
  out.set_name(name);
  out.set_pid(4242);
  out.set_method("GET");
  out.set_path(path);
  out.set_client(client);
  *out.mutable_age() = google::protobuf::util::TimeUtil::MillisecondsToDuration(age_ms);
  return out;
}

TEST(RenderRequests, ShowsIdAgeRouteAndClient) {
  v1::ListRequestsResponse list;
  *list.add_requests() =
      request("apps/web/workers/3/requests/1207", 125'310, "/report", "10.0.0.7");
  *list.add_requests() = request("apps/web/workers/1/requests/9", 310, "/a\x1b[31m", "");
  EXPECT_EQ(render_requests(list, false, {}),
            "ID        AGE  METHOD  PATH         CLIENT     PID\n"
            "3/1207  2m05s  GET     /report      10.0.0.7  4242\n"
            "1/9    0.310s  GET     /a\\x1b[31m  unix      4242\n");
  EXPECT_EQ(render_requests(list, true, {}).substr(0, 3), "APP");
}

TEST(RenderRequests, TellsOfThoseWithoutAName) {
  v1::ListRequestsResponse list;
  EXPECT_EQ(render_requests(list, false, {}), "nothing is in hand\n");
  list.set_unnamed(7);
  EXPECT_NE(render_requests(list, false, {}).find("and 7 more"), std::string::npos);
}

}  // namespace
}  // namespace appd::ctl
