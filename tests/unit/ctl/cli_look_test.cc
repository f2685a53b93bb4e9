// Command lines that look, wrong ones, and what happens without appd.
#include <algorithm>
#include <atomic>
#include <sstream>

#include "cli_fixture.h"
#include "ctl/text.h"

namespace appd::ctl {
namespace {

// Events in the order of their revisions; the first Synced ends the present state.
v1::WatchResponse note(std::int64_t revision) {
  v1::WatchResponse event;
  event.set_revision(revision);
  event.mutable_note()->set_app("apps/myapp");
  event.mutable_note()->set_text("n" + std::to_string(revision));
  return event;
}

TEST_F(Cli, UnreachableSaysWhyAndExitsFour) {
  const Ran ran = appctl({"list"});
  EXPECT_EQ(ran.code, ExitCode::Unreachable);
  EXPECT_NE(ran.err.find(appd.address() + ": no such socket"), std::string::npos) << ran.err;
}

TEST_F(Cli, WorkersAsJsonAreOneObjectWithAList) {
  appd.workers = [](const v1::ListWorkersRequest& request, v1::ListWorkersResponse& response) {
    EXPECT_EQ(request.parent(), "apps/myapp");
    response.add_workers()->set_id(request.page_token().empty() ? 1 : 2);
    if (request.page_token().empty()) response.set_next_page_token("more");
    return grpc::Status::OK;
  };
  appd.start();
  const Ran ran = appctl({"workers", "myapp", "-o", "json"});
  EXPECT_EQ(ran.code, ExitCode::Done);
  EXPECT_NE(ran.out.find("\"id\": 1"), std::string::npos) << ran.out;
  EXPECT_NE(ran.out.find("\"id\": 2"), std::string::npos) << ran.out;
  EXPECT_NE(ran.out.find("\"workers\": ["), std::string::npos) << ran.out;
}

TEST_F(Cli, TheDeadAreATableAndOneIsShownInFull) {
  appd.deaths = [](const v1::ListDeathsRequest&, v1::ListDeathsResponse& response) {
    v1::Death& death = *response.add_deaths();
    death.set_name("apps/myapp/deaths/5");
    death.set_cause(v1::Death::OUT_OF_MEMORY);
    death.set_reason("was killed");
    return grpc::Status::OK;
  };
  appd.death = [](const v1::GetDeathRequest& request, v1::Death& death) {
    EXPECT_EQ(request.name(), "apps/myapp/deaths/5");
    death.set_name(request.name());
    death.set_log_tail("last words\n");
    return grpc::Status::OK;
  };
  appd.start();
  const Ran table = appctl({"workers", "myapp", "--dead"});
  EXPECT_EQ(table.code, ExitCode::Done);
  EXPECT_NE(table.out.find("out of memory"), std::string::npos) << table.out;
  const Ran one = appctl({"workers", "myapp", "--dead", "5"});
  EXPECT_EQ(one.code, ExitCode::Done);
  EXPECT_NE(one.out.find("last words"), std::string::npos) << one.out;
  appctl({"workers", "--dead", "-o", "json"});
  EXPECT_EQ(appd.requests<v1::ListDeathsRequest>().back().view(), v1::ListDeathsRequest::FULL);
  EXPECT_EQ(appctl({"workers", "--dead", "5"}).code, ExitCode::Usage) << "of which app?";
}

TEST_F(Cli, EventsWithoutFollowEndAtSynced) {
  appd.watch = [](const v1::WatchRequest& request, grpc::ServerWriter<v1::WatchResponse>& writer) {
    EXPECT_EQ(request.start_revision(), 0);
    writer.Write(note(7));
    v1::WatchResponse synced;
    synced.mutable_synced();
    writer.Write(synced);
    writer.Write(note(8));
    return grpc::Status::OK;
  };
  appd.start();
  const Ran ran = appctl({"events"});
  EXPECT_EQ(ran.code, ExitCode::Done);
  EXPECT_NE(ran.out.find("n7"), std::string::npos);
  EXPECT_EQ(ran.out.find("n8"), std::string::npos);
}

TEST_F(Cli, FollowersGoOnFromTheLastRevisionAfterARestart) {
  std::atomic<int> streams = 0;
  appd.watch = [&](const v1::WatchRequest&, grpc::ServerWriter<v1::WatchResponse>& writer) {
    switch (++streams) {
      case 1:
        writer.Write(note(7));
        writer.Write(note(9));
        return refusal(StatusCode::UNAVAILABLE, "SHUTTING_DOWN", "appd is stopping");
      case 2:
        writer.Write(note(10));
        return refusal(StatusCode::OUT_OF_RANGE, "REVISION_COMPACTED", "too old");
      default:
        return refusal(StatusCode::INTERNAL, "STORE_FAILED", "the end of this test");
    }
  };
  appd.start();
  const Ran ran = appctl({"events", "-f", "--since", "7", "-o", "json"});
  EXPECT_EQ(ran.code, ExitCode::Failed);
  std::vector<std::int64_t> revisions;
  for (const auto& request : appd.requests<v1::WatchRequest>())
    revisions.push_back(request.start_revision());
  EXPECT_EQ(revisions, (std::vector<std::int64_t>{7, 10, 0}));
  EXPECT_EQ(std::count(ran.out.begin(), ran.out.end(), '\n'), 3) << ran.out;
  EXPECT_NE(ran.err.find("lost the connection"), std::string::npos) << ran.err;
  EXPECT_NE(ran.err.find("connected again"), std::string::npos) << ran.err;
  EXPECT_NE(ran.err.find("no longer has the events since revision 11"), std::string::npos)
      << ran.err;
}

TEST_F(Cli, WrongArgumentsExitTwoWithOneLineAndAHint) {
  const std::vector<std::vector<std::string>> cases = {{},
                                                       {"scael", "myapp"},
                                                       {"scale"},
                                                       {"scale", "myapp"},
                                                       {"scale", "myapp", "--workers", "many"},
                                                       {"scale", "myapp", "--wrokers", "1"},
                                                       {"scale", "myapp", "17"},
                                                       {"set", "myapp"},
                                                       {"set", "myapp", "--timeout", "soon"},
                                                       {"create", "myapp"},
                                                       {"list", "-o", "yaml"},
                                                       {"list", "--address", "somewhere"},
                                                       {"events", "--since", "3"}};
  for (const auto& arguments : cases) {
    const Ran ran = appctl(arguments);
    EXPECT_EQ(ran.code, ExitCode::Usage) << ::testing::PrintToString(arguments);
    EXPECT_EQ(ran.out, "");
    EXPECT_LE(std::count(ran.err.begin(), ran.err.end(), '\n'), 2) << ran.err;
  }
  EXPECT_NE(appctl({"scael"}).err.find("did you mean 'scale'?"), std::string::npos);
  EXPECT_NE(appctl({"scale", "a", "--wrokers", "1"}).err.find("'--workers'"), std::string::npos);
}

TEST_F(Cli, HelpShowsExamplesAndExitCodes) {
  const Ran ran = appctl({"--help"});
  EXPECT_EQ(ran.code, ExitCode::Done);
  EXPECT_NE(ran.out.find("Exit codes:"), std::string::npos);
  EXPECT_NE(appctl({"scale", "--help"}).out.find("appctl scale myapp --workers 17"),
            std::string::npos);
}

TEST_F(Cli, HelpIsAVerbToo) {
  EXPECT_EQ(appctl({"help"}).out, appctl({"--help"}).out);
  EXPECT_EQ(appctl({"help", "scale"}).out, appctl({"scale", "--help"}).out);
}

TEST_F(Cli, WhatIsMissingOrUnknownIsSaidInOurWords) {
  EXPECT_EQ(appctl({"logs", "myapp", "--grep"}).err,
            "appctl: --grep needs TEXT\n  See: appctl logs --help\n");
  EXPECT_NE(appctl({"top", "--sort", "x"}).err.find("'x' is none of name|busy|"),
            std::string::npos);
  EXPECT_NE(appctl({"-V"}).err.find("A verb is missing"), std::string::npos);
}

TEST_F(Cli, AnAppdThatDoesNotKnowACallIsSaidToBeOlder) {
  appd.start();  // it has no Stats
  const Ran ran = appctl({"top"});
  EXPECT_EQ(ran.code, ExitCode::Failed);
  EXPECT_EQ(ran.err,
            "appctl: cannot watch the figures: this appd does not know the call; appctl version "
            "tells whether it is older\n");
}

TEST_F(Cli, HelpIsFoldedToTheTerminal) {
  const auto longest = [&](int width, const std::vector<std::string>& arguments) {
    char* text = nullptr;
    std::size_t size = 0;
    Io io;
    io.out = ::open_memstream(&text, &size);
    io.err = stderr;
    io.out_style.width = width;
    io.environment = [](const char*) { return std::nullopt; };
    EXPECT_EQ(run(arguments, io), ExitCode::Done);
    std::fclose(io.out);
    std::size_t most = 0;
    std::istringstream lines(text);
    std::free(text);
    for (std::string line; std::getline(lines, line);) {
      // Commands and words that are long themselves are left alone.
      if (line.find("appctl create") == std::string::npos && !line.starts_with("  --")) {
        most = std::max(most, display_width(line));
      }
    }
    return most;
  };
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{"--help"}, {"create", "--help"}, {"context", "add", "--help"}}) {
    EXPECT_LE(longest(100, arguments), 100U);
    EXPECT_LE(longest(80, arguments), 80U);
    EXPECT_LE(longest(60, arguments), 60U);
    EXPECT_GT(longest(0, arguments), 60U);
  }
}

TEST_F(Cli, HelpSaysNothingOfHowArgumentsAreChecked) {
  for (const char* verb : {"logs", "events", "stacks", "recycle", "rollback", "requests", "top"}) {
    const std::string help = appctl({verb, "--help"}).out;
    for (const char* noise : {"POSITIVE", "Excludes", "Needs", " :"}) {
      EXPECT_EQ(help.find(noise), std::string::npos) << help;
    }
  }
  EXPECT_EQ(appctl({"recycle", "myapp", "x"}).err,
            "appctl: WORKER: 'x' is no whole number above 0\n  See: appctl recycle --help\n");
}

TEST_F(Cli, AFullDiskUnderTheOutputIsAFailure) {
  appd.list = [](const v1::ListAppsRequest&, v1::ListAppsResponse&) { return grpc::Status::OK; };
  appd.start();
  Io io;
  io.in = stdin;
  io.out = std::fopen("/dev/full", "w");
  io.err = std::fopen("/dev/null", "w");
  io.environment = [](const char*) { return std::nullopt; };
  EXPECT_EQ(run({"--address", appd.address(), "list"}, io), ExitCode::Failed);
  std::fclose(io.out);
  std::fclose(io.err);
}

}  // namespace
}  // namespace appd::ctl
