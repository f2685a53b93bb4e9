// appctl logs: what it asks for, how a line looks, and what a follower survives.
#include <google/protobuf/util/time_util.h>

#include <algorithm>
#include <atomic>

#include "cli_fixture.h"
#include "ctl/render.h"

namespace appd::ctl {
namespace {

using google::protobuf::util::TimeUtil;

v1::LogEntry entry(const std::string& line, const std::string& cursor = "app=1.2.3") {
  v1::LogEntry out;
  out.set_app("apps/myapp");
  out.set_source(v1::ReadLogsRequest::APP);
  out.set_line(line);
  out.set_cursor(cursor);
  return out;
}

class CliLogs : public Cli {
 protected:
  // The request that a command line makes.
  v1::ReadLogsRequest request(std::vector<std::string> arguments) {
    appd.logs = [](const auto&, auto&) { return grpc::Status::OK; };
    appd.start();
    arguments.insert(arguments.begin(), {"logs", "myapp"});
    const Ran ran = appctl(arguments);
    EXPECT_EQ(ran.code, ExitCode::Done) << ran.err;
    const auto requests = appd.requests<v1::ReadLogsRequest>();
    return requests.empty() ? v1::ReadLogsRequest() : requests.back();
  }
  Ran answered(const v1::LogEntry& with, std::vector<std::string> arguments) {
    appd.logs = [with](const auto&, auto& writer) {
      writer.Write(with);
      return grpc::Status::OK;
    };
    appd.start();
    return appctl(std::move(arguments));
  }
};

TEST_F(CliLogs, AsksForTheLastHundredLines) {
  const v1::ReadLogsRequest asked = request({});
  EXPECT_EQ(asked.name(), "apps/myapp");
  EXPECT_EQ(asked.tail(), 100);
  EXPECT_FALSE(asked.follow());
  EXPECT_FALSE(asked.has_worker());
}

TEST_F(CliLogs, SinceMeansAllOfThem) {
  const v1::ReadLogsRequest asked = request({"--since", "10m"});
  EXPECT_FALSE(asked.has_tail());
  EXPECT_EQ(TimeUtil::DurationToSeconds(asked.since()), 600);
}

TEST_F(CliLogs, PassesEveryFilterOn) {
  const v1::ReadLogsRequest asked = request({"-f", "-n", "5", "--since", "2026-11-25T00:31:07Z",
                                             "--grep", "text", "--regex", "a+", "--worker", "3"});
  EXPECT_TRUE(asked.follow());
  EXPECT_EQ(asked.tail(), 5);
  EXPECT_EQ(asked.since_time().seconds(), 1'795'566'667);
  EXPECT_EQ(asked.contains(), "text");
  EXPECT_EQ(asked.matches(), "a+");
  EXPECT_EQ(asked.worker(), 3);
}

TEST_F(CliLogs, ChoosesTheSource) {
  EXPECT_EQ(request({"--access", "-n", "all"}).source(), v1::ReadLogsRequest::ACCESS);
}

TEST_F(CliLogs, WrongArgumentsAreSaid) {
  for (const std::vector<std::string>& wrong :
       std::vector<std::vector<std::string>>{{"logs"},
                                             {"logs", "myapp", "-n", "many"},
                                             {"logs", "myapp", "-n", "-1"},
                                             {"logs", "myapp", "--since", "yesterday"},
                                             {"logs", "myapp", "--worker", "0"},
                                             {"logs", "myapp", "--access", "--all"}}) {
    EXPECT_EQ(appctl(wrong).code, ExitCode::Usage) << wrong.back();
  }
}

TEST_F(CliLogs, ShowsTimeAndWorkerOfALine) {
  v1::LogEntry line = entry("text");
  line.mutable_time()->set_seconds(1'795'566'667);
  line.mutable_time()->set_nanos(123'000'000);
  line.set_worker(3);
  const Ran ran = answered(line, {"logs", "myapp"});
  EXPECT_NE(ran.out.find(".123 3 text\n"), std::string::npos) << ran.out;
  EXPECT_EQ(appctl({"logs", "myapp", "--no-prefix"}).out, "text\n");
}

TEST_F(CliLogs, JsonIsOneObjectALine) {
  const Ran ran = answered(entry("text"), {"logs", "myapp", "-o", "json"});
  EXPECT_EQ(ran.out.front(), '{');
  EXPECT_EQ(std::count(ran.out.begin(), ran.out.end(), '\n'), 1);
  EXPECT_NE(ran.out.find("\"line\":\"text\""), std::string::npos) << ran.out;
}

TEST_F(CliLogs, SaysWhatIsMissing) {
  v1::LogEntry line = entry("text");
  line.set_gap(true);
  EXPECT_NE(answered(line, {"logs", "myapp"}).err.find("lines are missing"), std::string::npos);
}

TEST(RenderLogEntry, ATerminalIsNotDrivenByALog) {
  const v1::LogEntry line = entry("\x1b]0;owned\x07 \x1b[2J tab\there \xc2\x9b");
  EXPECT_EQ(render_log_entry(line, true, {80, false}),
            "\\x1b]0;owned\\x07 \\x1b[2J tab\there \\x9b\n");
  EXPECT_EQ(render_log_entry(line, true, {}), line.line() + "\n") << "a program gets it as it is";
}

TEST_F(CliLogs, AFollowerGoesOnBehindItsLastLineAfterARestart) {
  std::atomic<int> streams = 0;
  appd.logs = [&](const v1::ReadLogsRequest& asked, grpc::ServerWriter<v1::LogEntry>& writer) {
    if (++streams == 1) {
      writer.Write(entry("one", "app=1.1.4"));
      return grpc::Status(StatusCode::UNAVAILABLE, "appd ends");
    }
    EXPECT_EQ(asked.after(), "app=1.1.4");
    writer.Write(entry("two"));
    return grpc::Status::OK;
  };
  appd.start();
  const Ran ran = appctl({"logs", "myapp", "-f"});
  EXPECT_EQ(ran.code, ExitCode::Done);
  EXPECT_EQ(ran.out, "one\ntwo\n");
  EXPECT_NE(ran.err.find("lost the connection"), std::string::npos) << ran.err;
  EXPECT_NE(ran.err.find("connected again"), std::string::npos) << ran.err;
}

TEST_F(CliLogs, WithoutFollowALostConnectionIsAFailure) {
  appd.logs = [](const auto&, auto&) { return grpc::Status(StatusCode::UNAVAILABLE, "appd ends"); };
  appd.start();
  EXPECT_EQ(appctl({"logs", "myapp"}).code, ExitCode::Unreachable);
  appd.stop();
  EXPECT_EQ(appctl({"logs", "myapp", "-f"}).code, ExitCode::Unreachable) << "never was there";
}

TEST_F(CliLogs, ReopensThoseOfOneAppOrOfAll) {
  appd.reopen = [](const v1::ReopenLogsRequest& asked, v1::ReopenLogsResponse& response) {
    response.set_apps(asked.name() == "apps/-" ? 2 : 1);
    return grpc::Status::OK;
  };
  appd.start();
  EXPECT_EQ(appctl({"reopen-logs"}).out, "reopened the logs of 2 apps\n");
  EXPECT_EQ(appctl({"reopen-logs", "myapp"}).out, "reopened the logs of 1 app\n");
}

}  // namespace
}  // namespace appd::ctl
