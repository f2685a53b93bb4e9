// upgrade and shutdown.
#include <atomic>

#include "cli_fixture.h"

namespace appd::ctl {
namespace {

using CliSystem = Cli;

v1::UpgradeResponse upgraded() {
  v1::UpgradeResponse response;
  response.set_previous_version("0.1.0");
  response.set_version("0.2.0");
  response.set_pid(42);
  response.set_adopted_zygotes(1);
  response.set_adopted_workers(12);
  return response;
}

TEST_F(CliSystem, AnUpgradeIsCutOffAndAnsweredByTheNewAppd) {
  std::atomic<int> calls = 0;
  appd.upgrade = [&](const v1::UpgradeRequest& asked, v1::UpgradeResponse& response) {
    if (++calls == 1) return grpc::Status(StatusCode::UNAVAILABLE, "Socket closed");
    EXPECT_EQ(asked.binary(), "/caller/build/appd") << "relative to the caller";
    response = upgraded();
    return grpc::Status::OK;
  };
  appd.start();
  const Ran ran = appctl({"upgrade", "--binary", "build/appd"});
  EXPECT_EQ(ran.code, ExitCode::Done) << ran.err;
  EXPECT_EQ(ran.out, "appd 0.1.0 → 0.2.0 (pid 42): 1 zygote and 12 workers serve on\n");
  EXPECT_EQ(ran.err, "") << "that was no accident";
  const auto requests = appd.requests<v1::UpgradeRequest>();
  ASSERT_EQ(requests.size(), 2u);
  EXPECT_EQ(requests[0].request_id(), requests[1].request_id());
}

TEST_F(CliSystem, AnUpgradeThatIsRefusedSaysWhy) {
  appd.upgrade = [](const auto&, auto&) {
    return refusal(StatusCode::FAILED_PRECONDITION, "UPGRADE_REFUSED", "/bin/true is no appd");
  };
  appd.start();
  const Ran ran = appctl({"upgrade"});
  EXPECT_EQ(ran.code, ExitCode::Failed);
  EXPECT_NE(ran.err.find("/bin/true is no appd"), std::string::npos) << ran.err;
}

TEST_F(CliSystem, ShutdownWaitsUntilAppdHasGone) {
  std::atomic<bool> ended = false;
  appd.shut_down = [](const v1::ShutdownRequest& asked, v1::ShutdownResponse& response) {
    EXPECT_FALSE(asked.keep_apps());
    EXPECT_FALSE(asked.request_id().empty());
    response.set_apps(1);
    response.set_workers(4);
    return grpc::Status::OK;
  };
  appd.watch = [&](const auto&, auto&) {
    ended = true;
    return grpc::Status(StatusCode::UNAVAILABLE, "appd is shutting down");
  };
  appd.start();
  const Ran ran = appctl({"shutdown"});
  EXPECT_TRUE(ended);
  EXPECT_EQ(ran.out,
            "appd has ended: 1 app with 4 workers drained, to be started again by the next appd\n");
}

TEST_F(CliSystem, ShutdownMayKeepTheApps) {
  appd.shut_down = [](const v1::ShutdownRequest& asked, v1::ShutdownResponse& response) {
    EXPECT_TRUE(asked.keep_apps());
    EXPECT_EQ(asked.reason(), "new kernel");
    response.set_apps(2);
    response.set_workers(7);
    return grpc::Status::OK;
  };
  appd.watch = [](const auto&, auto&) { return grpc::Status(StatusCode::UNAVAILABLE, ""); };
  appd.start();
  EXPECT_EQ(appctl({"shutdown", "--keep-apps", "--reason", "new kernel"}).out,
            "appd has ended: 2 apps with 7 workers serve on, the next appd takes them over\n");
}

}  // namespace
}  // namespace appd::ctl
