// appctl apply: nothing is changed before everything has been checked.
#include "cli_fixture.h"

namespace appd::ctl {
namespace {

constexpr const char* kManifest = R"([apps.myapp]
directory = "/srv/myapp"
app = "wsgi:app"
bind = ["127.0.0.1:8000"]
workers = 17

[apps.other]
directory = "/srv/other"
app = "wsgi:app"
bind = ["127.0.0.1:8001"]
)";

// myapp runs with 4 workers, other does not exist.
void script_apply(FakeAppd& appd) {
  appd.get = [](const v1::GetAppRequest& request, v1::App& response) {
    if (request.name() != "apps/myapp")
      return refusal(StatusCode::NOT_FOUND, "APP_NOT_FOUND", "no");
    response = myapp(4);
    return grpc::Status::OK;
  };
  appd.update = [](const v1::UpdateAppRequest& request, v1::App& response) {
    response = request.app();
    response.set_operation("operations/1");
    return grpc::Status::OK;
  };
  appd.wait = ends_as(operation(v1::Operation::SUCCEEDED, 17, v1::Operation::UPDATE));
}

TEST_F(Cli, ApplyDryRunShowsTheDifferenceFieldByField) {
  script_apply(appd);
  appd.start();
  const Ran ran = appctl({"apply", "-f", "-", "--dry-run"}, kManifest);
  EXPECT_EQ(ran.code, ExitCode::Done) << ran.err;
  EXPECT_EQ(ran.out.rfind("myapp: would be changed\n  ~ workers: 4 → 17\nother: would be created\n"
                          "  + directory: /srv/other\n",
                          0),
            0U)
      << ran.out;
  for (const auto& request : appd.requests<v1::UpdateAppRequest>())
    EXPECT_TRUE(request.validate_only());
}

TEST_F(Cli, ApplyChecksAllBeforeItChangesTheFirst) {
  script_apply(appd);
  appd.update = [](const v1::UpdateAppRequest& request, v1::App& response) {
    if (request.app().name() == "apps/other") {
      return refusal(StatusCode::INVALID_ARGUMENT, "SPEC_INVALID", "bad",
                     {{"spec.bind[0]", "in use"}});
    }
    response = request.app();
    return grpc::Status::OK;
  };
  appd.start();
  const Ran ran = appctl({"apply", "-f", "-"}, kManifest);
  EXPECT_EQ(ran.code, ExitCode::Usage);
  EXPECT_NE(ran.err.find("  <stdin>:10: bind: in use\n"), std::string::npos) << ran.err;
  EXPECT_NE(ran.err.find("nothing was changed"), std::string::npos) << ran.err;
  for (const auto& request : appd.requests<v1::UpdateAppRequest>())
    EXPECT_TRUE(request.validate_only());
}

TEST_F(Cli, ApplyReplacesSpecsAndTellsWhatBecameOfEach) {
  script_apply(appd);
  appd.start();
  const Ran ran = appctl({"apply", "-f", "-"}, kManifest);
  EXPECT_EQ(ran.code, ExitCode::Done) << ran.err;
  EXPECT_NE(ran.out.find("myapp: changed, 17 workers ready (was 4), "), std::string::npos)
      << ran.out;
  const auto requests = appd.requests<v1::UpdateAppRequest>();
  ASSERT_EQ(requests.size(), 4U);
  EXPECT_EQ(requests[2].update_mask().paths(0), "*");
  EXPECT_TRUE(requests[2].allow_missing());
  EXPECT_NE(requests[2].request_id(), requests[3].request_id());
}

TEST_F(Cli, ApplyOfWhatIsThereChangesNothing) {
  script_apply(appd);
  appd.start();
  const std::string same =
      "[apps.myapp]\ndirectory='/srv/myapp'\napp='wsgi:app'\nbind=['127.0.0.1:8000']\nworkers=4\n";
  const Ran ran = appctl({"apply", "-f", "-"}, same);
  EXPECT_EQ(ran.out, "myapp: unchanged\n");
  EXPECT_EQ(appd.requests<v1::UpdateAppRequest>().size(), 1U);
}

TEST_F(Cli, ApplyRefusesABadManifestWithoutAskingAppd) {
  appd.start();
  const Ran ran = appctl({"apply", "-f", "-"}, "[apps.a]\nworkers = = 4\n");
  EXPECT_EQ(ran.code, ExitCode::Usage);
  EXPECT_EQ(ran.err.rfind("<stdin>:2:", 0), 0U) << ran.err;
  EXPECT_EQ(appd.calls(), 0U);
  EXPECT_EQ(appctl({"apply", "-f", "/nonexistent.toml"}).code, ExitCode::Usage);
}

}  // namespace
}  // namespace appd::ctl
