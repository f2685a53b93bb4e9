// What the core shows, as messages: no field is forgotten.
#include "supervisor/api/convert.h"

#include <gtest/gtest.h>

#include "google/rpc/error_details.pb.h"

namespace appd::api {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

// The names of the fields that are not set, of the message and of the messages in it.
std::string unset(const Message& message, const std::string& at = "") {
  std::string out;
  const auto* reflection = message.GetReflection();
  for (int i = 0; i < message.GetDescriptor()->field_count(); ++i) {
    const FieldDescriptor* field = message.GetDescriptor()->field(i);
    const std::string name = at + field->name();
    const bool set = field->is_repeated() ? reflection->FieldSize(message, field) > 0
                                          : reflection->HasField(message, field);
    if (!set && field->real_containing_oneof() == nullptr) {
      out += " " + name;
    } else if (set && !field->is_repeated() &&
               field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE &&
               field->message_type()->file()->package() == "appd.v1") {
      out += unset(reflection->GetMessage(message, field), name + ".");
    }
  }
  return out;
}

const model::WallTime kTime = model::WallTime(std::chrono::milliseconds(1'800'000'000'250));

model::Failure failure() {
  return {model::FailureCause::BindFailed, "port in use", "Traceback", 7, kTime};
}

model::AppView app_view() {
  model::AppView view;
  view.record.id = "web";
  view.record.uid = "uid";
  view.record.spec.directory = "/srv";
  view.record.spec.app = "m:a";
  view.record.spec.bind = {"127.0.0.1:80"};
  view.record.spec.env = {{"A", "1"}};
  view.record.spec.warmup_paths = {"/"};
  view.record.spec.command = "celery worker";
  view.record.spec.run_once = {"migrate"};
  view.record.spec.root_path = "/shop";
  view.record.spec.health_path = "/healthz";
  view.record.revision = 8;
  view.record.operation = "op";
  view.record.create_time = kTime;
  view.record.update_time = kTime;
  view.observed.state = model::AppState::Updating;
  view.observed.generation = 3;
  view.observed.reconciling = true;
  view.record.spec.user = "www-data";
  view.record.spec.group = "www-data";
  view.observed.ready_workers = 4;
  view.observed.rollout = 5;
  view.observed.worker_class = "gthread";
  view.observed.preloaded = true;
  view.observed.preload_note = "note";
  view.observed.limits_note = "no controllers";
  view.observed.python_version = "3.11.2";
  view.observed.last_failure = failure();
  view.observed.retry_time = kTime;
  view.observed.unexpected_exits = 6;
  view.observed.log_path = "/log";
  view.observed.access_log_path = "/access";
  view.observed.log_lost_lines = 9;
  view.observed.log_lost_bytes = 10;
  view.observed.process_state = model::ProcessState::Backoff;
  view.observed.drained_exits = 7;
  view.observed.last_death = 8;
  view.observed.last_death_reason = "was killed";
  view.observed.recycled_workers = 9;
  view.changed_env = {"A"};
  return view;
}

TEST(Convert, EveryFieldOfAnAppIsFilled) {
  v1::App app;
  to_proto(app_view(), app);
  EXPECT_EQ(unset(app), "");
  EXPECT_EQ(app.name(), "apps/web");
  EXPECT_EQ(app.etag(), "W/\"1\"");
  EXPECT_EQ(app.operation(), "operations/op");
  EXPECT_EQ(app.create_time().seconds(), 1'800'000'000);
  EXPECT_EQ(app.create_time().nanos(), 250'000'000);
  EXPECT_EQ(app.observed().state(), v1::AppObserved::UPDATING);
  EXPECT_EQ(app.observed().last_failure().cause(), v1::Failure::BIND_FAILED);
}

TEST(Convert, EveryFieldOfAWorkerIsFilled) {
  const model::WorkerView view{"web",
                               3,
                               4242,
                               model::WorkerState::Exited,
                               2,
                               "sync",
                               "gthread",
                               8,
                               kTime,
                               kTime,
                               10,
                               11,
                               12,
                               13,
                               "killed by signal 9",
                               model::ProcessState::Exited,
                               "asked",
                               14};
  v1::Worker worker;
  to_proto(view, worker);
  EXPECT_EQ(unset(worker), "");
  EXPECT_EQ(worker.name(), "apps/web/workers/3");
  EXPECT_EQ(worker.connections(), 13);
}

TEST(Convert, EveryFieldOfADeathIsFilled) {
  model::Death death;
  death.app = "web";
  death.id = 5;
  death.worker = 3;
  death.pid = 4242;
  death.rollout = 2;
  death.worker_class = "sync";
  death.start_time = death.end_time = kTime;
  death.ready_time = kTime;
  death.cause = model::DeathCause::Timeout;
  death.reason = "was killed";
  death.limit = "timeout";
  death.exit_status = 0;
  death.signal = 9;
  death.figures = {1, 2, 3, 4, 5, 6, {{"GET", "/slow", model::Milliseconds{1500}}}, 7, 8, 9};
  death.log_tail = "last words";
  death.stacks = "Thread 0x1";
  v1::Death full;
  to_proto(death, true, full);
  EXPECT_EQ(unset(full), "");
  EXPECT_EQ(full.name(), "apps/web/deaths/5");
  EXPECT_EQ(full.cause(), v1::Death::TIMEOUT);
  EXPECT_EQ(full.requests_in_hand(0).age().nanos(), 500'000'000);
  v1::Death basic;
  to_proto(death, false, basic);
  EXPECT_EQ(basic.log_tail(), "");
}

TEST(Convert, EveryFieldOfAnOperationIsFilled) {
  model::Cut cut;
  cut.add({3, 1, 5, "graceful_timeout", 1, 2, {{"GET", "/slow", model::Milliseconds{31'000}}}},
          model::Milliseconds{30'000});
  const model::Operation operation{"id",
                                   "web",
                                   model::OperationKind::Scale,
                                   model::OperationPhase::RolledBack,
                                   1,
                                   2,
                                   6,
                                   "because",
                                   "canary: 1 worker",
                                   "it did not work",
                                   failure(),
                                   3,
                                   4,
                                   5,
                                   cut,
                                   kTime,
                                   kTime};
  v1::Operation out;
  to_proto(operation, out);
  EXPECT_EQ(unset(out), "");
  EXPECT_EQ(unset(out.cut()), "");
  EXPECT_EQ(unset(out.cut().cut_workers(0)), "");
  EXPECT_EQ(out.cut().cut_workers(0).death(), "apps/web/deaths/5");
  EXPECT_EQ(out.cut().cut_workers(0).requests_in_hand(0).stage(), v1::Death::Request::IN_APP);
  EXPECT_TRUE(out.done());
}

TEST(Convert, AnOperationsErrorSaysHowItEnded) {
  const std::tuple<model::OperationPhase, int, const char*> cases[] = {
      {model::OperationPhase::RolledBack, 10, "ROLLED_BACK"},
      {model::OperationPhase::Failed, 9, "ROLLOUT_FAILED"},
      {model::OperationPhase::Superseded, 10, "SUPERSEDED"},
      {model::OperationPhase::Cancelled, 1, "CANCELLED"},
  };
  for (const auto& [phase, code, reason] : cases) {
    model::Operation operation;
    operation.id = "id";
    operation.app = "web";
    operation.phase = phase;
    operation.error_message = "why";
    v1::Operation out;
    to_proto(operation, out);
    EXPECT_EQ(out.error().code(), code);
    EXPECT_EQ(out.error().message(), "why");
    google::rpc::ErrorInfo info;
    ASSERT_EQ(out.error().details_size(), 1);
    ASSERT_TRUE(out.error().details(0).UnpackTo(&info));
    EXPECT_EQ(info.reason(), reason);
    EXPECT_EQ(info.domain(), "appd");
    EXPECT_EQ(info.metadata().at("app"), "apps/web");
  }
  model::Operation succeeded;
  succeeded.phase = model::OperationPhase::Succeeded;
  v1::Operation out;
  to_proto(succeeded, out);
  EXPECT_TRUE(out.done());
  EXPECT_FALSE(out.has_error());
}

TEST(Convert, EnumeratorsCorrespondByPosition) {
  // The API's enumerators are the model's, one further on (0 is UNSPECIFIED).
  for (int i = 0; i < v1::Operation::Phase_ARRAYSIZE - 1; ++i) {
    model::Operation operation;
    operation.phase = static_cast<model::OperationPhase>(i);
    v1::Operation out;
    to_proto(operation, out);
    EXPECT_EQ(out.phase(), i + 1);
  }
  for (int i = 0; i < v1::Operation::Kind_ARRAYSIZE - 1; ++i) {
    model::Operation operation;
    operation.kind = static_cast<model::OperationKind>(i);
    v1::Operation out;
    to_proto(operation, out);
    EXPECT_EQ(out.kind(), i + 1);
  }
  for (int i = 0; i < v1::AppObserved::State_ARRAYSIZE - 1; ++i) {
    model::AppView view;
    view.observed.state = static_cast<model::AppState>(i);
    v1::App out;
    to_proto(view, out);
    EXPECT_EQ(out.observed().state(), i + 1);
  }
  for (int i = 0; i < v1::Worker::State_ARRAYSIZE - 1; ++i) {
    model::WorkerView view;
    view.state = static_cast<model::WorkerState>(i);
    v1::Worker out;
    to_proto(view, out);
    EXPECT_EQ(out.state(), i + 1);
  }
  for (int i = 0; i < v1::Failure::Cause_ARRAYSIZE - 1; ++i) {
    model::Failure cause = failure();
    cause.cause = static_cast<model::FailureCause>(i);
    v1::Failure out;
    to_proto(cause, out);
    EXPECT_EQ(out.cause(), i + 1);
  }
}

TEST(Convert, EveryKindOfEventFindsItsPlace) {
  const auto convert = [](decltype(model::Event::what) what) {
    v1::WatchResponse out;
    to_proto(model::Event{9, kTime, "web", std::move(what)}, out);
    EXPECT_EQ(out.revision(), 9);
    EXPECT_TRUE(out.has_time());
    return out;
  };
  EXPECT_EQ(convert(app_view()).app().name(), "apps/web");
  EXPECT_EQ(convert(model::WorkerView{}).event_case(), v1::WatchResponse::kWorker);
  EXPECT_EQ(convert(model::Operation{}).event_case(), v1::WatchResponse::kOperation);
  EXPECT_EQ(convert(model::Removed{"apps/web"}).removed().name(), "apps/web");
  EXPECT_TRUE(convert(model::Progress{}).has_progress());
  const v1::WatchResponse note = convert(model::Note{"text"});
  EXPECT_EQ(note.note().text(), "text");
  EXPECT_EQ(note.note().app(), "apps/web");
}

TEST(Convert, TimesBeforeTheEpochKeepTheirNanosPositive) {
  google::protobuf::Timestamp out;
  to_proto(model::WallTime(std::chrono::milliseconds(-1)), out);
  EXPECT_EQ(out.seconds(), -1);
  EXPECT_EQ(out.nanos(), 999'000'000);
}

}  // namespace
}  // namespace appd::api
