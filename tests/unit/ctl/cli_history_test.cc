// Command lines of the history: history, diff, rollback, and what every change brings along for it.
#include <algorithm>

#include "cli_fixture.h"

namespace appd::ctl {
namespace {

v1::Revision revision(std::int64_t number, std::int32_t workers, bool good) {
  v1::Revision out;
  out.set_name("apps/myapp/revisions/" + std::to_string(number));
  out.set_number(number);
  out.set_method("ScaleApp");
  out.set_operation("operations/" + std::to_string(number));
  out.mutable_spec()->set_workers(workers);
  out.set_outcome(good ? v1::Operation::SUCCEEDED : v1::Operation::FAILED);
  out.set_good(good);
  return out;
}

class CliHistory : public Cli {
 protected:
  // Answers in pages of one.
  void serve(std::vector<v1::Revision> newest_first) {
    appd.revisions = [newest_first](const v1::ListRevisionsRequest& request,
                                    v1::ListRevisionsResponse& response) {
      EXPECT_EQ(request.parent(), "apps/myapp");
      const std::size_t at = request.page_token().empty() ? 0 : std::stoul(request.page_token());
      if (at < newest_first.size()) *response.add_revisions() = newest_first[at];
      if (at + 1 < newest_first.size()) response.set_next_page_token(std::to_string(at + 1));
      return grpc::Status::OK;
    };
    appd.start();
  }
};

TEST_F(CliHistory, HistoryShowsEveryPageAndSaysWhoAsks) {
  serve({revision(2, 17, true), revision(1, 4, true)});
  const Ran ran = appctl({"history", "myapp"});
  EXPECT_EQ(ran.code, ExitCode::Done) << ran.err;
  EXPECT_NE(ran.out.find("workers 4 → 17"), std::string::npos) << ran.out;
  EXPECT_EQ(std::count(ran.out.begin(), ran.out.end(), '\n'), 3) << ran.out;
  EXPECT_EQ(appd.user_agent().rfind("appctl/", 0), 0U) << appd.user_agent();
}

TEST_F(CliHistory, HistoryAsJsonIsOneObjectWithAList) {
  serve({revision(2, 17, true), revision(1, 4, true)});
  const Ran ran = appctl({"history", "myapp", "-o", "json"});
  EXPECT_EQ(ran.code, ExitCode::Done) << ran.err;
  EXPECT_NE(ran.out.find("\"revisions\": ["), std::string::npos) << ran.out;
  EXPECT_NE(ran.out.find("\"number\": \"1\""), std::string::npos) << ran.out;
}

TEST_F(CliHistory, DiffComparesThePresentWithTheLastGoodOneBefore) {
  serve(
      {revision(4, 17, false), revision(3, 9, false), revision(2, 4, true), revision(1, 3, true)});
  const Ran ran = appctl({"diff", "myapp"});
  EXPECT_EQ(ran.code, ExitCode::Done) << ran.err;
  EXPECT_EQ(ran.out, "myapp: revision 2 → 4\n  ~ workers: 4 → 17\n");
}

TEST_F(CliHistory, DiffTakesTheOneBeforeWhereNoneWasGood) {
  serve({revision(2, 17, false), revision(1, 4, false)});
  EXPECT_EQ(appctl({"diff", "myapp"}).out, "myapp: revision 1 → 2\n  ~ workers: 4 → 17\n");
}

TEST_F(CliHistory, DiffOfTwoThatAreNamed) {
  serve({revision(3, 9, true), revision(2, 4, true), revision(1, 3, true)});
  EXPECT_EQ(appctl({"diff", "myapp", "--from", "1", "--to", "2"}).out,
            "myapp: revision 1 → 2\n  ~ workers: 3 → 4\n");
  EXPECT_EQ(appctl({"diff", "myapp", "--from", "3", "--to", "1"}).out,
            "myapp: revision 3 → 1\n  ~ workers: 9 → 3\n");
}

TEST_F(CliHistory, DiffAsJsonHasBothSidesAndTheChanges) {
  v1::Revision now = revision(2, 17, true);
  (*now.mutable_spec()->mutable_env())["TOKEN"] = "";
  (*now.mutable_env_since())["TOKEN"] = 2;
  serve({now, revision(1, 4, true)});
  const Ran ran = appctl({"diff", "myapp", "-o", "json"});
  EXPECT_EQ(ran.code, ExitCode::Done) << ran.err;
  for (const char* part : {"\"from\": {", "\"to\": {", "\"changes\": [", "\"field\": \"env.TOKEN\"",
                           "\"change\": \"added\"", "\"to\": \"17\""}) {
    EXPECT_NE(ran.out.find(part), std::string::npos) << part << " in " << ran.out;
  }
}

TEST_F(CliHistory, DiffOfWhatIsNotKeptFails) {
  serve({revision(1, 4, true)});
  const Ran absent = appctl({"diff", "myapp", "--from", "7"});
  EXPECT_EQ(absent.code, ExitCode::Failed);
  EXPECT_NE(absent.err.find("no revision 7"), std::string::npos) << absent.err;
  EXPECT_NE(absent.err.find("appctl history myapp"), std::string::npos) << absent.err;
  EXPECT_EQ(appctl({"diff", "myapp"}).code, ExitCode::Failed);
  EXPECT_EQ(appctl({"diff", "myapp", "--to", "0"}).code, ExitCode::Usage);
}

TEST_F(CliHistory, RollbackWaitsAndSaysWhereItWent) {
  appd.rollback = [](const v1::RollbackAppRequest&, v1::Operation& response) {
    response = operation(v1::Operation::PREPARING, 17, v1::Operation::ROLLBACK);
    response.set_revision(3);
    return grpc::Status::OK;
  };
  appd.wait = ends_as(operation(v1::Operation::SUCCEEDED, 4, v1::Operation::ROLLBACK));
  v1::Revision back = revision(3, 4, true);
  back.set_restores(1);
  serve({back, revision(2, 17, true), revision(1, 4, true)});
  const Ran ran = appctl({"rollback", "myapp", "--etag", "W/\"1\"", "--reason", "too slow"});
  EXPECT_EQ(ran.code, ExitCode::Done) << ran.err;
  EXPECT_EQ(
      ran.out.rfind("myapp: rolled back to revision 1, 4 workers ready (was 17), rollout 3, ", 0),
      0U)
      << ran.out;
  const v1::RollbackAppRequest request = appd.requests<v1::RollbackAppRequest>().at(0);
  EXPECT_EQ(request.name(), "apps/myapp");
  EXPECT_EQ(request.revision(), 0);
  EXPECT_EQ(request.etag(), "W/\"1\"");
  EXPECT_EQ(request.reason(), "too slow");
  EXPECT_EQ(request.request_id().size(), 36U);
}

TEST_F(CliHistory, RollbackThatFailsExitsThreeWithTheTraceback) {
  v1::Operation end = operation(v1::Operation::ROLLED_BACK, 4, v1::Operation::ROLLBACK);
  end.mutable_failure()->set_traceback("Traceback (most recent call last):\n");
  end.mutable_failure()->set_message("SyntaxError: x");
  appd.rollback = [end](const v1::RollbackAppRequest& request, v1::Operation& response) {
    EXPECT_EQ(request.revision(), 2);
    response = end;
    return grpc::Status::OK;
  };
  appd.start();
  const Ran ran = appctl({"rollback", "myapp", "--to", "2"});
  EXPECT_EQ(ran.code, ExitCode::RolledBack);
  EXPECT_NE(ran.err.find("Traceback (most recent call last):\n"), std::string::npos) << ran.err;
}

TEST_F(CliHistory, NothingToRollBackIsAFailureWithItsReason) {
  appd.rollback = [](const v1::RollbackAppRequest&, v1::Operation&) {
    return refusal(StatusCode::FAILED_PRECONDITION, "NOTHING_TO_ROLL_BACK", "nothing before it");
  };
  appd.start();
  const Ran ran = appctl({"rollback", "myapp"});
  EXPECT_EQ(ran.code, ExitCode::Failed);
  EXPECT_NE(ran.err.find("nothing before it [NOTHING_TO_ROLL_BACK]"), std::string::npos) << ran.err;
}

// A request of each kind, with the reason and the id that were given.
template <typename Request>
void expect_given(FakeAppd& appd, std::size_t at) {
  const auto requests = appd.requests<Request>();
  ASSERT_GT(requests.size(), at);
  EXPECT_EQ(requests[at].reason(), "ticket 7");
  EXPECT_EQ(requests[at].request_id(), "9f1c3f6e-0d0a-4c5e-8f57-0c9a5a3c1b11");
}

TEST_F(CliHistory, EveryChangeTakesAReasonAndARequestId) {
  const auto ends = [](const auto&, auto& response) {
    response = operation(v1::Operation::SUCCEEDED, 4);
    return grpc::Status::OK;
  };
  const auto shows = [](const auto&, auto& response) {
    response = myapp();
    return grpc::Status::OK;
  };
  appd.create = shows;
  appd.get = shows;
  appd.update = shows;
  appd.remove = ends;
  appd.scale = ends;
  appd.reload = ends;
  appd.rollback = ends;
  appd.wait = ends_as(operation(v1::Operation::SUCCEEDED, 4));
  appd.start();
  const auto run_with = [this](std::vector<std::string> arguments) {
    for (const char* more :
         {"--reason", "ticket 7", "--request-id", "9f1c3f6e-0d0a-4c5e-8f57-0c9a5a3c1b11"}) {
      arguments.emplace_back(more);
    }
    const Ran ran = appctl(arguments);
    EXPECT_EQ(ran.code, ExitCode::Done) << arguments[0] << ": " << ran.err;
  };
  run_with({"create", "myapp", "--directory", "/", "--app", "a:b", "--bind", ":1"});
  run_with({"set", "myapp", "--timeout", "45"});
  run_with({"stop", "myapp"});
  run_with({"start", "myapp"});
  run_with({"scale", "myapp", "--workers", "4"});
  run_with({"reload", "myapp"});
  run_with({"rollback", "myapp", "--to", "1"});
  run_with({"delete", "myapp"});
  expect_given<v1::CreateAppRequest>(appd, 0);
  for (std::size_t i = 0; i < 3; ++i) expect_given<v1::UpdateAppRequest>(appd, i);
  expect_given<v1::ScaleAppRequest>(appd, 0);
  expect_given<v1::ReloadAppRequest>(appd, 0);
  expect_given<v1::RollbackAppRequest>(appd, 0);
  expect_given<v1::DeleteAppRequest>(appd, 0);
}

TEST_F(CliHistory, ARepeatedSetEndsAsTheFirstDid) {
  appd.get = [](const v1::GetAppRequest&, v1::App& response) {
    response = myapp();
    return grpc::Status::OK;
  };
  appd.update = [](const v1::UpdateAppRequest&, v1::App& response) {
    response = myapp();  // the same operation: nothing new has begun
    return grpc::Status::OK;
  };
  appd.wait = ends_as(operation(v1::Operation::ROLLED_BACK, 4, v1::Operation::UPDATE));
  appd.start();
  EXPECT_EQ(appctl({"set", "myapp", "--app", "bad:app"}).code, ExitCode::RolledBack);
}

}  // namespace
}  // namespace appd::ctl
