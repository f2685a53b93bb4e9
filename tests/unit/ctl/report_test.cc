// How failures are decoded, worded, and turned into exit codes.
#include "ctl/report.h"

#include <gtest/gtest.h>

#include "ctl/exit_code.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace appd::ctl {
namespace {

using std::chrono::milliseconds;

std::string details(const std::string& reason, const google::protobuf::Message* more = nullptr) {
  google::rpc::Status status;
  google::rpc::ErrorInfo info;
  info.set_reason(reason);
  info.set_domain("appd");
  status.add_details()->PackFrom(info);
  if (more != nullptr) status.add_details()->PackFrom(*more);
  return status.SerializeAsString();
}

CallError error_of(Code code, const std::string& reason) {
  return decode_call_error(static_cast<int>(code), "no", details(reason));
}

TEST(DecodeCallError, TakesReasonViolationsAndDelay) {
  google::rpc::BadRequest bad;
  bad.add_field_violations()->set_field("spec.workers");
  bad.mutable_field_violations(0)->set_description("must be 1 to 1024 (got 100000)");
  const CallError error =
      decode_call_error(3, "the spec is invalid", details("SPEC_INVALID", &bad));
  EXPECT_EQ(error.code, Code::InvalidArgument);
  EXPECT_EQ(error.reason, "SPEC_INVALID");
  EXPECT_EQ(error.message, "the spec is invalid");
  ASSERT_EQ(error.violations.size(), 1U);
  google::rpc::RetryInfo retry;
  retry.mutable_retry_delay()->set_seconds(2);
  EXPECT_EQ(decode_call_error(14, "", details("SHUTTING_DOWN", &retry)).retry_delay,
            milliseconds(2'000));
}

TEST(DecodeCallError, EnduresBrokenDetails) {
  const CallError error = decode_call_error(13, "broken", "\xff\xff not a status");
  EXPECT_EQ(error.code, Code::Internal);
  EXPECT_EQ(error.message, "broken");
}

TEST(ExitCode, OfCalls) {
  EXPECT_EQ(exit_code(error_of(Code::InvalidArgument, "SPEC_INVALID")), ExitCode::Usage);
  EXPECT_EQ(exit_code(error_of(Code::NotFound, "APP_NOT_FOUND")), ExitCode::Failed);
  EXPECT_EQ(exit_code(error_of(Code::AlreadyExists, "APP_EXISTS")), ExitCode::Conflict);
  EXPECT_EQ(exit_code(error_of(Code::Aborted, "ETAG_MISMATCH")), ExitCode::Conflict);
  EXPECT_EQ(exit_code(error_of(Code::Aborted, "SUPERSEDED")), ExitCode::Conflict);
  EXPECT_EQ(exit_code(error_of(Code::Aborted, "ROLLED_BACK")), ExitCode::RolledBack);
  EXPECT_EQ(exit_code(error_of(Code::Unavailable, "SHUTTING_DOWN")), ExitCode::Unreachable);
  EXPECT_EQ(exit_code(error_of(Code::FailedPrecondition, "BIND_FAILED")), ExitCode::Failed);
  EXPECT_EQ(exit_code(decode_call_error(99, "", "")), ExitCode::Failed);
}

v1::Operation ended(v1::Operation::Phase phase) {
  v1::Operation operation;
  operation.set_name("operations/1");
  operation.set_app("apps/myapp");
  operation.set_kind(v1::Operation::RELOAD);
  operation.set_phase(phase);
  operation.set_done(true);
  operation.set_rollout(4);
  operation.mutable_progress()->set_ready_workers(17);
  return operation;
}

TEST(ExitCode, OfOperations) {
  EXPECT_EQ(exit_code(ended(v1::Operation::SUCCEEDED)), ExitCode::Done);
  EXPECT_EQ(exit_code(ended(v1::Operation::ROLLED_BACK)), ExitCode::RolledBack);
  EXPECT_EQ(exit_code(ended(v1::Operation::CANCELLED)), ExitCode::RolledBack);
  EXPECT_EQ(exit_code(ended(v1::Operation::SUPERSEDED)), ExitCode::Conflict);
  v1::Operation failed = ended(v1::Operation::FAILED);
  failed.mutable_error()->set_code(static_cast<int>(Code::DeadlineExceeded));
  EXPECT_EQ(exit_code(failed), ExitCode::Failed);
}

TEST(RenderCallError, NamesTheFlagOfEachViolation) {
  CallError error = error_of(Code::InvalidArgument, "SPEC_INVALID");
  error.violations = {{"spec.workers", "must be 1 to 1024 (got 100000)"},
                      {"spec.bind[0]", "no port"}};
  EXPECT_EQ(render_call_error(error, {"create myapp", "myapp", "", {}}, {}),
            "appctl: cannot create myapp [SPEC_INVALID]\n"
            "  --workers: must be 1 to 1024 (got 100000)\n"
            "  --bind: no port\n");
}

TEST(RenderCallError, SaysWhatToDoNext) {
  EXPECT_EQ(
      render_call_error(error_of(Code::Aborted, "ETAG_MISMATCH"), {"scale web", "web", "", {}}, {}),
      "appctl: cannot scale web: no [ETAG_MISMATCH]\n"
      "  It was changed meanwhile. Look with `appctl get web`, then use its etag.\n");
}

TEST(RenderCallError, DoesNotSayTwiceWhatTheMessageSays) {
  CallError error = error_of(Code::FailedPrecondition, "APP_STOPPED");
  error.message = "web is stopped; appctl start runs it";
  error.violations = {{"apps/web", error.message}};
  EXPECT_EQ(render_call_error(error, {"reload web", "web", "", {}}, {}),
            "appctl: cannot reload web: web is stopped; appctl start runs it [APP_STOPPED]\n");
}

TEST(RenderCallError, SaysWhereAppdWasLookedForAndWhy) {
  CallError error;
  error.code = Code::Unavailable;
  error.unreachable = "no such socket";
  const std::string text = render_call_error(error, {"list", "", "unix:/run/a.sock", {}}, {});
  EXPECT_EQ(text.rfind("appctl: cannot reach appd at unix:/run/a.sock: no such socket\n", 0), 0U)
      << text;
  EXPECT_NE(text.find("--address"), std::string::npos);
}

TEST(RenderCallError, EscapesWhatTheServerSent) {
  CallError error = error_of(Code::Internal, "");
  error.message = "a\x1b[2J\nappctl: forged";
  EXPECT_EQ(render_call_error(error, {"list", "", "", {}}, {}),
            "appctl: cannot list: a\\x1b[2J\\nappctl: forged\n");
}

TEST(RenderSuccess, IsOneLineWithFigures) {
  v1::Operation operation = ended(v1::Operation::SUCCEEDED);
  operation.set_rollout(3);
  EXPECT_EQ(render_success(operation, {"", 4, milliseconds(41)}),
            "myapp: 17 workers ready (was 4), rollout 3, 0.041s\n");
  EXPECT_EQ(render_success(operation, {"reloaded", 17, milliseconds(210)}),
            "myapp: reloaded, 17 workers ready, rollout 3, 0.210s\n");
  operation.mutable_progress()->set_ready_workers(1);
  EXPECT_EQ(render_success(operation, {"created", std::nullopt, milliseconds(5)}),
            "myapp: created, 1 worker ready, rollout 3, 0.005s\n");
  operation.clear_progress();
  EXPECT_EQ(render_success(operation, {"deleted", 17, milliseconds(5)}),
            "myapp: deleted, 0.005s\n");
  operation.set_kind(v1::Operation::SCALE);
  EXPECT_EQ(render_success(operation, {"", 0, milliseconds(5)}),
            "myapp: stopped, for when it starts, 0.005s\n");
}

TEST(RenderFailure, ShowsTheTracebackAndThatTheOldCodeServes) {
  v1::Operation operation = ended(v1::Operation::ROLLED_BACK);
  operation.mutable_failure()->set_cause(v1::Failure::IMPORT_FAILED);
  operation.mutable_failure()->set_message("SyntaxError: invalid syntax (wsgi.py, line 3)");
  operation.mutable_failure()->set_traceback("Traceback:\n  File \"wsgi.py\", line 3\x1b[31m");
  EXPECT_EQ(render_failure(operation, nullptr, {}),
            "Traceback:\n"
            "  File \"wsgi.py\", line 3\\x1b[31m\n"
            "appctl: reload of myapp was rolled back: SyntaxError: invalid syntax (wsgi.py, line 3)"
            " (import failed)\n"
            "  The old code serves on with 17 workers. Put the cause right and try again.\n");
}

TEST(RenderFailure, ShowsTheAnswerToTheHealthCheckAndWhatServes) {
  v1::Operation operation = ended(v1::Operation::ROLLED_BACK);
  operation.mutable_failure()->set_cause(v1::Failure::PROBE_FAILED);
  operation.mutable_failure()->set_message(
      "health check GET /healthz answered 503, expected 200 (3 tries)");
  operation.mutable_failure()->set_traceback("HTTP/1.1 503 Service Unavailable\n\nno database");
  v1::App now;
  now.mutable_observed()->set_rollout(6);
  now.mutable_observed()->set_ready_workers(4);
  EXPECT_EQ(render_failure(operation, &now, {}),
            "The health check was answered with\n\n"
            "HTTP/1.1 503 Service Unavailable\n\nno database\n\n"
            "appctl: reload of myapp was rolled back: health check GET /healthz answered 503, "
            "expected 200 (3 tries) (probe failed)\n"
            "  Rollout 6 serves on with 4 workers. Put the cause right and try again.\n");
}

TEST(RenderFailure, SaysWhoCancelledAndWhatServes) {
  v1::Operation operation = ended(v1::Operation::CANCELLED);
  operation.mutable_error()->set_message("cancelled by root: the wrong branch");
  EXPECT_EQ(render_failure(operation, nullptr, {}),
            "appctl: reload of myapp was cancelled by root: the wrong branch\n"
            "  The old code serves on with 17 workers.\n");
}

TEST(FollowHint, NamesCancelOnlyWhereThereIsSomethingToGoBackTo) {
  v1::Operation operation = ended(v1::Operation::PREPARING);
  const auto names_cancel = [&] {
    return follow_hint(operation).find("appctl cancel operations/1") != std::string::npos;
  };
  EXPECT_NE(follow_hint(operation).find("appctl wait operations/1"), std::string::npos);
  EXPECT_TRUE(names_cancel());
  operation.set_kind(v1::Operation::CREATE);
  EXPECT_FALSE(names_cancel());
  operation.set_kind(v1::Operation::SCALE);
  operation.set_rollout(0);
  EXPECT_FALSE(names_cancel());
}

TEST(RenderFailure, TellsSupersededFromFailed) {
  EXPECT_NE(render_failure(ended(v1::Operation::SUPERSEDED), nullptr, {})
                .find("superseded by a later change"),
            std::string::npos);
  v1::Operation failed = ended(v1::Operation::FAILED);
  failed.mutable_error()->set_message("no worker came up");
  EXPECT_EQ(render_failure(failed, nullptr, {})
                .rfind("appctl: reload of myapp failed: no worker came up\n", 0),
            0U);
}

}  // namespace
}  // namespace appd::ctl
