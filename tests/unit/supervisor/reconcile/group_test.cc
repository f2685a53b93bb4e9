// Changes that wait at the same time: one transaction, and yet as if one had come after the other.
// A Reconciler with its store; the apps are stopped, so that there are no processes.
#include <gtest/gtest.h>
#include <spdlog/logger.h>
#include <spdlog/sinks/null_sink.h>
#include <sqlite3.h>

#include <filesystem>
#include <functional>
#include <future>
#include <thread>

#include "supervisor/reconcile/reconciler.h"
#include "tests/support/temporary_directory.h"
#include "tests/unit/supervisor/store/fault_vfs.h"

namespace appd::reconcile {
namespace {

using App = Answer<model::AppView>;

template <typename T>
T answer_of(std::future<T>& answer) {
  if (answer.wait_for(std::chrono::seconds(20)) == std::future_status::ready) return answer.get();
  return Error{ErrorCode::DeadlineExceeded, "NO_ANSWER", "none within 20 s", 0};
}

std::string reason_of(const App& answer) { return answer ? "" : answer.rejection().error.reason; }

class ChangesThatMeet : public testing::Test {
 protected:
  ChangesThatMeet() {
    std::filesystem::create_directory(directory_.path("run"));
    auto store = store::Store::open(directory_.path("appd.db"));
    runtime::Paths paths{directory_.path(), directory_.path("run"), "/none",
                         directory_.path("no-cgroup")};
    auto made = Reconciler::create(
        *std::move(store), paths,
        std::make_shared<spdlog::logger>("test", std::make_shared<spdlog::sinks::null_sink_mt>()));
    core_ = *std::move(made);
    if (!core_->load()) std::abort();
    thread_ = std::thread([this] { core_->run(); });
    for (const char* app : {"a", "b", "c"}) {
      CreateApp create{app, spec(app), {}, {}};
      std::promise<App> promise;
      auto made_app = promise.get_future();
      core_->create_app(create, [&promise](App answer) { promise.set_value(std::move(answer)); });
      EXPECT_EQ(reason_of(answer_of(made_app)), "");
    }
  }
  ~ChangesThatMeet() override {
    core_->leave();
    thread_.join();
  }

  model::AppSpec spec(const std::string& app) const {
    model::AppSpec spec;
    spec.directory = directory_.path();
    spec.python = "/bin/sh";  // nobody runs it
    spec.app = "wsgi:app";
    spec.bind = {"unix:" + directory_.path(app + ".sock")};
    spec.run_mode = model::RunMode::Stopped;
    return spec;
  }

  static UpdateApp change(const std::string& app, const std::function<void(model::AppSpec&)>& edit,
                          CallOptions options = {}) {
    SpecEdit readable = [edit](model::AppSpec& spec) {
      edit(spec);
      return std::vector<model::Violation>();
    };
    return {app, std::move(readable), model::OperationKind::Update, false, std::move(options)};
  }
  static UpdateApp scale(const std::string& app, std::int32_t workers, CallOptions options = {}) {
    return change(
        app, [workers](model::AppSpec& spec) { spec.workers = workers; }, std::move(options));
  }
  UpdateApp move_to(const std::string& app, const std::string& socket) const {
    return change(app, [bind = "unix:" + directory_.path(socket)](model::AppSpec& spec) {
      spec.bind = {bind};
    });
  }
  static CallOptions repeatable(const std::string& fingerprint) {
    CallOptions options;
    options.request_id = "4a7c8f04-6f4c-4c3c-8f0e-0a4e5a4b8c11";
    options.fingerprint = fingerprint;
    return options;
  }

  // Runs it on the core thread, between two turns' transactions.
  void on_core(const std::function<void()>& deed) {
    std::promise<void> done;
    core_->operations({}, [&](const auto&) {
      deed();
      done.set_value();
    });
    done.get_future().wait();
  }

  // All of them are waiting when the core thread comes to the first.
  std::vector<App> at_once(std::vector<UpdateApp> updates) {
    std::vector<std::promise<App>> promises(updates.size());
    on_core([&] {
      for (std::size_t i = 0; i < updates.size(); ++i) {
        core_->update_app(std::move(updates[i]), [this, &promise = promises[i]](App answer) {
          syncs_when_answered_.push_back(faults_.syncs());
          promise.set_value(std::move(answer));
        });
      }
      syncs_before_ = faults_.syncs();
    });
    std::vector<App> answers;
    for (std::promise<App>& promise : promises) {
      auto future = promise.get_future();
      answers.push_back(answer_of(future));
    }
    return answers;
  }

  model::AppRecord record_of(const std::string& app) {
    std::promise<Answer<Snapshot>> promise;
    auto snapshot = promise.get_future();
    core_->snapshot({app}, [&promise](auto answer) { promise.set_value(std::move(answer)); });
    return answer_of(snapshot).value().apps.front().record;
  }
  std::size_t operations() {
    std::promise<Answer<std::vector<model::Operation>>> promise;
    auto all = promise.get_future();
    core_->operations({}, [&promise](auto answer) { promise.set_value(std::move(answer)); });
    return answer_of(all).value().size();
  }
  // What another appd would find had this one been killed now.
  std::map<std::string, std::int32_t> workers_after_a_crash() {
    std::filesystem::create_directory(directory_.path("copy"));
    on_core([this] {
      for (const std::string file : {"appd.db", "appd.db-wal"}) {
        std::filesystem::copy_file(directory_.path(file), directory_.path("copy/" + file));
      }
    });
    auto store = store::Store::open(directory_.path("copy/appd.db"));
    std::map<std::string, std::int32_t> workers;
    const auto apps = (*store)->apps();
    for (const model::AppRecord& record : *apps) {
      workers[record.id] = record.spec.workers;
    }
    std::filesystem::remove_all(directory_.path("copy"));
    return workers;
  }

  store::FaultVfs faults_;
  test::TemporaryDirectory directory_;
  std::unique_ptr<Reconciler> core_;
  std::thread thread_;
  int syncs_before_ = 0;
  std::vector<int> syncs_when_answered_;
};

TEST_F(ChangesThatMeet, ShareOneSyncAndAreAnsweredAfterIt) {
  const auto answers = at_once({scale("a", 7), scale("b", 8), scale("c", 9)});
  for (const App& answer : answers) EXPECT_EQ(reason_of(answer), "");
  EXPECT_EQ(syncs_when_answered_, std::vector<int>(3, syncs_before_ + 1));
  const std::map<std::string, std::int32_t> as_asked{{"a", 7}, {"b", 8}, {"c", 9}};
  EXPECT_EQ(workers_after_a_crash(), as_asked);
}

TEST_F(ChangesThatMeet, AreAllRefusedWhenTheDiskFailsAndChangeNothing) {
  const std::size_t before = operations();
  const std::string etag = record_of("a").etag();
  on_core([this] { faults_.fail_from(1, SQLITE_FULL); });
  const auto refused = at_once({scale("a", 7), scale("b", 8), scale("c", 9)});
  on_core([this] { faults_.heal(); });
  for (const App& answer : refused) {
    ASSERT_EQ(reason_of(answer), "STORE_FAILED");
    EXPECT_EQ(answer.rejection().error.message, refused.front().rejection().error.message);
  }
  EXPECT_EQ(operations(), before);
  for (const char* app : {"a", "b", "c"}) {
    EXPECT_EQ(record_of(app).spec.workers, 1);
  }
  EXPECT_EQ(record_of("a").etag(), etag);
  for (const App& answer : at_once({scale("a", 2), scale("b", 2)})) {
    EXPECT_EQ(reason_of(answer), "");
  }
  const std::map<std::string, std::int32_t> as_asked{{"a", 2}, {"b", 2}, {"c", 1}};
  EXPECT_EQ(workers_after_a_crash(), as_asked);
}

TEST_F(ChangesThatMeet, OfOneAppSeeEachOther) {
  const auto answers = at_once(
      {scale("a", 7), scale("b", 8), change("a", [](model::AppSpec& spec) { spec.workers *= 2; })});
  EXPECT_EQ(answers[2].value().record.spec.workers, 14);
  EXPECT_EQ(answers[2].value().record.revision, answers[0].value().record.revision + 1);
  EXPECT_EQ(record_of("a").spec.workers, 14);
}

TEST_F(ChangesThatMeet, WithOneEtagAreOneChangeAndOneConflict) {
  CallOptions read;
  read.etag = record_of("a").etag();
  const auto answers = at_once({scale("a", 7, read), scale("a", 9, read)});
  EXPECT_EQ(reason_of(answers[0]), "");
  ASSERT_EQ(reason_of(answers[1]), "ETAG_MISMATCH");
  EXPECT_EQ(answers[1].rejection().metadata.at("etag"), record_of("a").etag());
  EXPECT_EQ(record_of("a").spec.workers, 7);
}

TEST_F(ChangesThatMeet, WithOneRequestIdAreDoneOnce) {
  const std::size_t before = operations();
  const auto answers = at_once({scale("a", 7, repeatable("x")), scale("a", 7, repeatable("x")),
                                scale("b", 8, repeatable("y"))});
  EXPECT_EQ(answers[1].value().record.operation, answers[0].value().record.operation);
  EXPECT_EQ(reason_of(answers[2]), "REQUEST_ID_REUSED");
  EXPECT_EQ(operations(), before + 1);
  EXPECT_EQ(record_of("b").spec.workers, 1);
}

TEST_F(ChangesThatMeet, ThatAreOnlyToBeCheckedSeeWhatCameBefore) {
  CallOptions check;
  check.validate_only = true;
  const auto answers =
      at_once({scale("a", 7), change(
                                  "a", [](model::AppSpec& spec) { ++spec.workers; }, check)});
  EXPECT_EQ(answers[1].value().record.spec.workers, 8);
  EXPECT_EQ(record_of("a").spec.workers, 7);
}

TEST_F(ChangesThatMeet, CannotTakeOneAddressTwice) {
  const auto answers = at_once({scale("c", 3), move_to("a", "new.sock"), move_to("b", "new.sock")});
  EXPECT_EQ(reason_of(answers[1]), "");
  ASSERT_EQ(reason_of(answers[2]), "SPEC_INVALID");
  EXPECT_NE(answers[2].rejection().error.message.find("belongs to the app a"), std::string::npos);
}

TEST_F(ChangesThatMeet, MayTakeAnAddressThatWasLeftJustBefore) {
  const auto answers = at_once({move_to("a", "new.sock"), move_to("b", "a.sock")});
  EXPECT_EQ(reason_of(answers[0]), "");
  EXPECT_EQ(reason_of(answers[1]), "");
}

}  // namespace
}  // namespace appd::reconcile
