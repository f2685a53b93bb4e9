// Command lines that change something: requests, waiting, exit codes.
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <mutex>

#include "cli_fixture.h"

namespace appd::ctl {
namespace {

TEST_F(Cli, ScaleIsTwoCallsAndOneLine) {
  appd.scale = [](const v1::ScaleAppRequest&, v1::Operation& response) {
    response = operation(v1::Operation::APPLYING, 4);
    return grpc::Status::OK;
  };
  appd.wait = ends_as(operation(v1::Operation::SUCCEEDED, 17));
  appd.start();
  const Ran ran =
      appctl({"scale", "myapp", "--workers", "17", "--threads", "2", "--etag", "W/\"1\""});
  EXPECT_EQ(ran.code, ExitCode::Done);
  EXPECT_EQ(ran.out.rfind("myapp: 17 workers ready (was 4), rollout 3, 0.", 0), 0U) << ran.out;
  EXPECT_EQ(ran.err, "");
  const auto requests = appd.requests<v1::ScaleAppRequest>();
  ASSERT_EQ(requests.size(), 1U);
  EXPECT_EQ(requests[0].name(), "apps/myapp");
  EXPECT_EQ(requests[0].workers(), 17);
  EXPECT_EQ(requests[0].threads(), 2);
  EXPECT_EQ(requests[0].etag(), "W/\"1\"");
  EXPECT_EQ(requests[0].request_id().size(), 36U);
  EXPECT_EQ(appd.calls(), 2U);
}

TEST_F(Cli, NoWaitPrintsTheOperationsName) {
  appd.reload = [](const v1::ReloadAppRequest& request, v1::Operation& response) {
    EXPECT_EQ(request.reason(), "release 42");
    response = operation(v1::Operation::PREPARING, 4, v1::Operation::RELOAD);
    return grpc::Status::OK;
  };
  appd.start();
  const Ran ran = appctl({"reload", "myapp", "--no-wait", "--reason", "release 42"});
  EXPECT_EQ(ran.code, ExitCode::Done);
  EXPECT_EQ(ran.out, "operations/1\n");
}

TEST_F(Cli, RolledBackExitsThreeWithTheTracebackOnStderr) {
  appd.reload = [](const v1::ReloadAppRequest&, v1::Operation& response) {
    response = operation(v1::Operation::PREPARING, 4, v1::Operation::RELOAD);
    return grpc::Status::OK;
  };
  v1::Operation end = operation(v1::Operation::ROLLED_BACK, 4, v1::Operation::RELOAD);
  end.mutable_failure()->set_traceback("Traceback (most recent call last):\n");
  end.mutable_failure()->set_message("SyntaxError: x");
  appd.wait = ends_as(end);
  appd.start();
  const Ran ran = appctl({"reload", "myapp"});
  EXPECT_EQ(ran.code, ExitCode::RolledBack);
  EXPECT_EQ(ran.out, "");
  EXPECT_NE(ran.err.find("Traceback (most recent call last):\n"), std::string::npos) << ran.err;
  EXPECT_NE(ran.err.find("The old code serves on with 4 workers"), std::string::npos) << ran.err;
}

TEST_F(Cli, CancelTakesTheNameOrTheUuidAndSaysWhatServes) {
  appd.cancel = [](const v1::CancelOperationRequest& request, v1::Operation& response) {
    EXPECT_EQ(request.name(), "operations/1");
    EXPECT_EQ(request.reason(), "the wrong branch");
    EXPECT_FALSE(request.request_id().empty());
    response = operation(v1::Operation::CANCELLED, 4, v1::Operation::RELOAD);
    return grpc::Status::OK;
  };
  appd.start();
  for (const char* name : {"operations/1", "1"}) {
    const Ran ran = appctl({"cancel", name, "--reason", "the wrong branch"});
    EXPECT_EQ(ran.code, ExitCode::Done) << ran.err;
    EXPECT_EQ(ran.out, "myapp: reload cancelled; 4 workers serve on as before\n");
  }
}

TEST_F(Cli, CancelSaysWhyItIsTooLate) {
  appd.cancel = [](const v1::CancelOperationRequest&, v1::Operation&) {
    return refusal(
        StatusCode::FAILED_PRECONDITION, "NOT_CANCELLABLE",
        "rollout 3 has proved itself and takes over: to go back, see appctl rollback web");
  };
  appd.start();
  const Ran ran = appctl({"cancel", "operations/1"});
  EXPECT_EQ(ran.code, ExitCode::Failed);
  EXPECT_NE(ran.err.find("appctl rollback web"), std::string::npos) << ran.err;
  EXPECT_NE(ran.err.find("[NOT_CANCELLABLE]"), std::string::npos) << ran.err;
}

TEST_F(Cli, SupersededAndStaleEtagAndTakenNameAreConflicts) {
  appd.scale = [](const v1::ScaleAppRequest&, v1::Operation& response) {
    response = operation(v1::Operation::SUPERSEDED, 4);
    return grpc::Status::OK;
  };
  appd.reload = [](const v1::ReloadAppRequest&, v1::Operation&) {
    return refusal(StatusCode::ABORTED, "ETAG_MISMATCH", "the etag is W/\"8\"");
  };
  appd.create = [](const v1::CreateAppRequest&, v1::App&) {
    return refusal(StatusCode::ALREADY_EXISTS, "APP_EXISTS", "there is one");
  };
  appd.start();
  EXPECT_EQ(appctl({"scale", "myapp", "--workers", "1"}).code, ExitCode::Conflict);
  EXPECT_EQ(appctl({"reload", "myapp", "--etag", "W/\"7\""}).code, ExitCode::Conflict);
  EXPECT_EQ(appctl({"create", "myapp", "--directory", "/", "--app", "a:b", "--bind", ":1"}).code,
            ExitCode::Conflict);
}

TEST_F(Cli, ViolationsAreShownByFlagAndExitTwo) {
  appd.create = [](const v1::CreateAppRequest&, v1::App&) {
    return refusal(
        StatusCode::INVALID_ARGUMENT, "SPEC_INVALID", "2 rules are broken",
        {{"spec.workers", "must be 1 to 1024 (got 100000)"}, {"spec.env.A B", "no name"}});
  };
  appd.start();
  const Ran ran = appctl({"create", "myapp", "--directory", "/", "--app", "a:b", "--bind", ":1",
                          "--workers", "100000", "--env", "A B=1"});
  EXPECT_EQ(ran.code, ExitCode::Usage);
  EXPECT_EQ(ran.err,
            "appctl: cannot create myapp [SPEC_INVALID]\n"
            "  --workers: must be 1 to 1024 (got 100000)\n"
            "  --env A B: no name\n");
}

TEST_F(Cli, CreateSendsWhatWasGivenAndAbsolutePaths) {
  appd.create = [](const v1::CreateAppRequest&, v1::App& response) {
    response = myapp();
    return grpc::Status::OK;
  };
  appd.wait = ends_as(operation(v1::Operation::SUCCEEDED, 4, v1::Operation::CREATE));
  appd.start();
  const Ran ran = appctl({"create",
                          "apps/myapp",
                          "--directory",
                          "site",
                          "--app",
                          "wsgi:app",
                          "--bind",
                          "127.0.0.1:8000",
                          "--bind",
                          "unix:/run/x",
                          "--python",
                          "../venv/bin/python",
                          "--env",
                          "A=b",
                          "--env",
                          "C=--d",
                          "--timeout",
                          "1m30s",
                          "--preload",
                          "off",
                          "--warmup-path",
                          "/",
                          "--limit-request-body",
                          "1MiB"});
  EXPECT_EQ(ran.code, ExitCode::Done) << ran.err;
  EXPECT_EQ(ran.out.rfind("myapp: created, 4 workers ready, rollout 3, ", 0), 0U) << ran.out;
  const v1::CreateAppRequest request = appd.requests<v1::CreateAppRequest>().at(0);
  const v1::AppSpec& spec = request.app().spec();
  EXPECT_EQ(request.app_id(), "myapp");
  EXPECT_EQ(spec.directory(), "/caller/site");
  EXPECT_EQ(spec.python(), "/venv/bin/python");
  EXPECT_EQ(spec.bind_size(), 2);
  EXPECT_EQ(spec.env().at("C"), "--d");
  EXPECT_EQ(spec.timeout().seconds(), 90);
  EXPECT_EQ(spec.preload(), v1::AppSpec::OFF);
  EXPECT_EQ(spec.warmup_paths(0), "/");
  EXPECT_EQ(spec.limit_request_body(), 1 << 20);
  EXPECT_FALSE(spec.has_workers());
}

TEST_F(Cli, SetMasksExactlyWhatWasGivenAndTellsWhatChanged) {
  appd.get = [](const v1::GetAppRequest&, v1::App& response) {
    response = myapp();
    return grpc::Status::OK;
  };
  appd.update = [](const v1::UpdateAppRequest&, v1::App& response) {
    response = myapp();
    response.set_operation("operations/1");
    response.mutable_spec()->mutable_timeout()->set_seconds(45);
    return grpc::Status::OK;
  };
  appd.wait = ends_as(operation(v1::Operation::SUCCEEDED, 4, v1::Operation::UPDATE));
  appd.start();
  const Ran ran = appctl({"set", "myapp", "--timeout", "45", "--env", "A=b", "--unset-env", "B",
                          "--reset", "keepalive"});
  EXPECT_EQ(ran.code, ExitCode::Done) << ran.err;
  EXPECT_EQ(ran.out.rfind("myapp: timeout: 30s → 45s, 4 workers ready, ", 0), 0U) << ran.out;
  const v1::UpdateAppRequest request = appd.requests<v1::UpdateAppRequest>().at(0);
  const auto& paths = request.update_mask().paths();
  EXPECT_EQ(
      (std::vector<std::string>(paths.begin(), paths.end())),
      (std::vector<std::string>{"spec.timeout", "spec.env.A", "spec.env.B", "spec.keepalive"}));
  EXPECT_EQ(request.app().spec().env_size(), 1);
}

TEST_F(Cli, StopSetsTheRunModeOnly) {
  appd.get = [](const v1::GetAppRequest&, v1::App& response) {
    response = myapp();
    return grpc::Status::OK;
  };
  appd.update = [](const v1::UpdateAppRequest& request, v1::App& response) {
    response = myapp();
    response.set_operation("operations/1");
    response.mutable_spec()->set_run_mode(request.app().spec().run_mode());
    return grpc::Status::OK;
  };
  v1::Operation end = operation(v1::Operation::SUCCEEDED, 0, v1::Operation::UPDATE);
  end.clear_progress();
  appd.wait = ends_as(end);
  appd.start();
  const Ran ran = appctl({"stop", "myapp"});
  EXPECT_EQ(ran.code, ExitCode::Done);
  EXPECT_EQ(ran.out.rfind("myapp: stopped, 0.", 0), 0U) << ran.out;
  EXPECT_EQ(appd.requests<v1::UpdateAppRequest>().at(0).app().spec().run_mode(),
            v1::AppSpec::STOPPED);
}

TEST_F(Cli, ACallThatWasCutOffIsRepeatedWithTheSameRequestId) {
  std::atomic<int> calls = 0;
  appd.scale = [&](const v1::ScaleAppRequest&, v1::Operation& response) {
    if (++calls == 1) return grpc::Status(StatusCode::UNAVAILABLE, "Socket closed");
    response = operation(v1::Operation::SUCCEEDED, 17);
    return grpc::Status::OK;
  };
  appd.start();
  const Ran ran = appctl({"scale", "myapp", "--workers", "17"});
  EXPECT_EQ(ran.code, ExitCode::Done) << ran.err;
  EXPECT_NE(ran.err.find("trying again"), std::string::npos) << ran.err;
  const auto requests = appd.requests<v1::ScaleAppRequest>();
  ASSERT_EQ(requests.size(), 2U);
  EXPECT_EQ(requests[0].request_id(), requests[1].request_id());
}

TEST_F(Cli, WaitingOutlastsARestartOfAppd) {
  std::atomic<int> waits = 0;
  appd.scale = [](const v1::ScaleAppRequest&, v1::Operation& response) {
    response = operation(v1::Operation::APPLYING, 4);
    return grpc::Status::OK;
  };
  appd.wait = [&](const v1::WaitOperationRequest&, v1::Operation& response) {
    if (++waits == 1) return grpc::Status(StatusCode::UNAVAILABLE, "Socket closed");
    response = operation(v1::Operation::SUCCEEDED, 17);
    return grpc::Status::OK;
  };
  appd.start();
  EXPECT_EQ(appctl({"scale", "myapp", "--workers", "17"}).code, ExitCode::Done);
  EXPECT_EQ(waits, 2);
}

TEST_F(Cli, WaitTimeoutEndsWithTheWayOn) {
  appd.scale = [](const v1::ScaleAppRequest&, v1::Operation& response) {
    response = operation(v1::Operation::APPLYING, 4);
    return grpc::Status::OK;
  };
  appd.wait = ends_as(operation(v1::Operation::APPLYING, 5));
  appd.start();
  const Ran ran = appctl({"scale", "myapp", "--workers", "17", "--wait-timeout", "10ms"});
  EXPECT_EQ(ran.code, ExitCode::Failed);
  EXPECT_NE(ran.err.find("not done after 10ms (applying)"), std::string::npos) << ran.err;
  EXPECT_NE(ran.err.find("appctl wait operations/1"), std::string::npos) << ran.err;
}

TEST_F(Cli, ShowsProgressInPlaceOnATerminalOnly) {
  appd.scale = [](const v1::ScaleAppRequest&, v1::Operation& response) {
    response = operation(v1::Operation::APPLYING, 4);
    return grpc::Status::OK;
  };
  appd.wait = [this](const v1::WaitOperationRequest&, v1::Operation& response) {
    // Done only once the watch for the progress line has come, or this is not a terminal's run.
    const bool watched = appd.wait_for_request<v1::WatchRequest>();
    response = operation(watched ? v1::Operation::SUCCEEDED : v1::Operation::FAILED, 17);
    return grpc::Status::OK;
  };
  appd.watch = [](const v1::WatchRequest&, grpc::ServerWriter<v1::WatchResponse>& writer) {
    v1::WatchResponse event;
    *event.mutable_operation() = operation(v1::Operation::APPLYING, 12);
    writer.Write(event);
    return grpc::Status::OK;
  };
  appd.start();
  const Ran ran = appctl({"scale", "myapp", "--workers", "17"}, "", true);
  EXPECT_EQ(ran.code, ExitCode::Done) << ran.err;
  EXPECT_EQ(appd.requests<v1::WatchRequest>().at(0).app(), "apps/myapp");
}

// The real program, because the handler ends the process.
TEST_F(Cli, AnInterruptSaysThatTheOperationGoesOnAndExits130) {
  appd.scale = [](const v1::ScaleAppRequest&, v1::Operation& response) {
    response = operation(v1::Operation::APPLYING, 4);
    return grpc::Status::OK;
  };
  std::mutex mutex;
  std::condition_variable released;
  bool over = false;
  appd.wait = [&](const v1::WaitOperationRequest&, v1::Operation& response) {
    std::unique_lock lock(mutex);
    released.wait_for(lock, std::chrono::seconds(20), [&] { return over; });
    response = operation(v1::Operation::SUCCEEDED, 17);
    return grpc::Status::OK;
  };
  appd.start();
  int pipe_ends[2];
  ASSERT_EQ(::pipe2(pipe_ends, O_CLOEXEC), 0);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, pipe_ends[1], STDERR_FILENO);
  const std::string address = appd.address();
  const char* arguments[] = {"appctl",    "--address", address.c_str(), "scale", "myapp",
                             "--workers", "17",        nullptr};
  pid_t child = 0;
  ASSERT_EQ(
      ::posix_spawn(&child, APPCTL, &actions, nullptr, const_cast<char**>(arguments), environ), 0);
  ::posix_spawn_file_actions_destroy(&actions);
  ::close(pipe_ends[1]);
  EXPECT_TRUE(appd.wait_for_request<v1::WaitOperationRequest>());
  ::kill(child, SIGINT);
  std::string err;
  char chunk[256];
  for (ssize_t count = 0; (count = ::read(pipe_ends[0], chunk, sizeof(chunk))) > 0;) {
    err.append(chunk, static_cast<std::size_t>(count));
  }
  ::close(pipe_ends[0]);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  {
    const std::lock_guard lock(mutex);
    over = true;
  }
  released.notify_all();
  appd.stop();  // the script uses what is local here
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 130);
  EXPECT_NE(err.find("follow it with: appctl wait operations/1"), std::string::npos) << err;
}

}  // namespace
}  // namespace appd::ctl
