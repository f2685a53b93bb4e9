// The store on a real file: what comes back, what is refused, what is forgotten, and its mode bits.
#include "supervisor/store/store.h"

#include <sys/stat.h>

#include <fstream>

#include "supervisor/store/sqlite.h"
#include "tests/unit/supervisor/store/store_fixture.h"

namespace appd::store {
namespace {

void expect_same(const model::AppRecord& a, const model::AppRecord& b) {
  EXPECT_EQ(a.id, b.id);
  EXPECT_EQ(a.uid, b.uid);
  EXPECT_EQ(a.spec, b.spec);
  EXPECT_EQ(a.generation, b.generation);
  EXPECT_EQ(a.version, b.version);
  EXPECT_EQ(a.rollout, b.rollout);
  EXPECT_EQ(a.revision, b.revision);
  EXPECT_EQ(a.deleting, b.deleting);
  EXPECT_EQ(a.last_good_spec, b.last_good_spec);
  EXPECT_EQ(a.failed_rollout, b.failed_rollout);
  EXPECT_EQ(a.good_rollout, b.good_rollout);
  EXPECT_EQ(a.operation, b.operation);
  EXPECT_EQ(a.create_time, b.create_time);
  EXPECT_EQ(a.update_time, b.update_time);
}

void expect_same(const model::Operation& a, const model::Operation& b) {
  EXPECT_EQ(a.id, b.id);
  EXPECT_EQ(a.app, b.app);
  EXPECT_EQ(a.kind, b.kind);
  EXPECT_EQ(a.phase, b.phase);
  EXPECT_EQ(a.generation, b.generation);
  EXPECT_EQ(a.rollout, b.rollout);
  EXPECT_EQ(a.revision, b.revision);
  EXPECT_EQ(a.reason, b.reason);
  EXPECT_EQ(a.error_message, b.error_message);
  ASSERT_EQ(a.failure.has_value(), b.failure.has_value());
  if (a.failure) {
    EXPECT_EQ(a.failure->cause, b.failure->cause);
    EXPECT_EQ(a.failure->message, b.failure->message);
    EXPECT_EQ(a.failure->traceback, b.failure->traceback);
    EXPECT_EQ(a.failure->rollout, b.failure->rollout);
    EXPECT_EQ(a.failure->time, b.failure->time);
  }
  EXPECT_EQ(a.ready_workers, b.ready_workers);
  EXPECT_EQ(a.wanted_workers, b.wanted_workers);
  EXPECT_EQ(a.draining_workers, b.draining_workers);
  EXPECT_EQ(a.cut, b.cut);
  EXPECT_EQ(a.create_time, b.create_time);
  EXPECT_EQ(a.end_time, b.end_time);
}

std::string numbered(std::string word, int number) { return word.append(std::to_string(number)); }

Change put(const std::string& id) {
  Change change;
  change.put_app = app(id);
  return change;
}

TEST_F(StoreTest, WhatWasCommittedComesBackAfterReopening) {
  model::AppRecord plain;
  plain.id = "plain";
  model::Operation running;
  running.id = "o2";
  running.app = "web";
  {
    auto store = open();
    Change change = put("web");
    change.put_operation = operation("o1", "web");
    change.more_operations = {running};
    change.request = {"r1", {"print", "web", "o1"}};
    change.audit = "uid 0 created web";
    ASSERT_TRUE(store->commit(change, at(0)));
    Change second;
    second.put_app = plain;
    ASSERT_TRUE(store->commit(second, at(1)));
  }
  auto store = open();
  const auto apps = store->apps();
  ASSERT_TRUE(apps) << apps.error().message;
  ASSERT_EQ(apps->size(), 2u);
  expect_same((*apps)[0], plain);
  expect_same((*apps)[1], app("web"));
  const auto operations = store->operations();
  ASSERT_TRUE(operations) << operations.error().message;
  ASSERT_EQ(operations->size(), 2u);
  expect_same((*operations)[0], operation("o1", "web"));
  expect_same((*operations)[1], running);
  const auto replay = store->find_request("r1");
  ASSERT_TRUE(replay && *replay);
  EXPECT_EQ((*replay)->fingerprint, "print");
  EXPECT_EQ((*replay)->app, "web");
  EXPECT_EQ((*replay)->operation, "o1");
  const auto unknown = store->find_request("r2");
  ASSERT_TRUE(unknown);
  EXPECT_FALSE(unknown->has_value());
}

TEST_F(StoreTest, PuttingAgainReplacesAndKeepsTheOrderOfOperations) {
  auto store = open();
  for (const char* id : {"o1", "o2"}) {
    Change change = put("web");
    change.put_operation = operation(id, "web");
    ASSERT_TRUE(store->commit(change, at(0)));
  }
  Change again = put("web");
  again.put_app->version = 6;
  again.put_operation = operation("o1", "web");
  again.put_operation->phase = model::OperationPhase::Superseded;
  ASSERT_TRUE(store->commit(again, at(1)));
  ASSERT_EQ(store->apps()->size(), 1u);
  EXPECT_EQ(store->apps()->front().version, 6);
  const auto operations = *store->operations();
  ASSERT_EQ(operations.size(), 2u);
  EXPECT_EQ(operations[0].id, "o2");
  EXPECT_EQ(operations[1].phase, model::OperationPhase::Superseded);
}

TEST_F(StoreTest, AChangeThatFailsHalfwayLeavesNothing) {
  auto store = open();
  Change change = put("web");
  change.put_operation = operation("o1", "web");
  change.put_operation->failure->message = "\xff";  // cannot be written
  const auto outcome = store->commit(change, at(0));
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().reason, "STORE_FAILED");
  EXPECT_TRUE(store->apps()->empty());
  EXPECT_TRUE(store->commit(put("web"), at(0)));
}

TEST_F(StoreTest, RemovedAppsAreGoneAndTheirOperationsStayForADay) {
  auto store = open();
  Change change = put("web");
  change.put_operation = operation("o1", "web");
  ASSERT_TRUE(store->commit(change, at(0)));
  Change removal;
  removal.remove_app = "web";
  ASSERT_TRUE(store->commit(removal, at(10)));
  EXPECT_TRUE(store->apps()->empty());
  EXPECT_EQ(store->operations()->size(), 1u);
  ASSERT_TRUE(store->commit({}, at(5 + 86'400 + 1)));  // end_time is at(5)
  EXPECT_TRUE(store->operations()->empty());
}

TEST_F(StoreTest, RequestIdsAreForgottenAfterADay) {
  auto store = open();
  Change change;
  change.request = {"r1", {"f", "web", "o1"}};
  ASSERT_TRUE(store->commit(change, at(0)));
  ASSERT_TRUE(store->commit({}, at(86'400)));
  EXPECT_TRUE(store->find_request("r1")->has_value());
  ASSERT_TRUE(store->commit({}, at(86'460)));
  EXPECT_FALSE(store->find_request("r1")->has_value());
}

TEST_F(StoreTest, KeepsTheNewest200EndedOperationsOfEachAppAndAllThatRun) {
  auto store = open();
  Change change = put("web");
  change.put_operation = operation("running", "web");
  change.put_operation->end_time.reset();
  ASSERT_TRUE(store->commit(change, at(0)));
  Change other = put("other");
  other.put_operation = operation("others", "other");
  ASSERT_TRUE(store->commit(other, at(0)));
  Change many;
  for (int i = 0; i < 203; ++i) {
    many.more_operations.push_back(operation(numbered("o", i), "web"));
  }
  ASSERT_TRUE(store->commit(many, at(0)));
  const auto operations = *store->operations();
  ASSERT_EQ(operations.size(), 202u);
  EXPECT_EQ(operations.front().id, "o202");
  EXPECT_EQ(operations[199].id, "o3");
  EXPECT_EQ(operations[200].id, "others");
  EXPECT_EQ(operations[201].id, "running");
}

TEST_F(StoreTest, FilesAreClosedToOthersUnderAnyUmask) {
  for (const mode_t mask : {mode_t{0}, mode_t{0777}}) {
    const mode_t before = ::umask(mask);
    auto store = open();
    const auto outcome = store->commit(put("web"), at(0));
    ::umask(before);
    ASSERT_TRUE(outcome);
    for (const char* suffix : {"", "-wal", "-shm"}) {
      struct stat status {};
      ASSERT_EQ(::stat((path() + suffix).c_str(), &status), 0) << suffix;
      EXPECT_EQ(status.st_mode & 0777, 0600u) << suffix << " under umask " << mask;
    }
    store.reset();
    std::filesystem::remove(path());
  }
}

TEST_F(StoreTest, AFileThatWasOpenToOthersIsClosed) {
  open();
  ASSERT_EQ(::chmod(path().c_str(), 0644), 0);
  open();
  struct stat status {};
  ASSERT_EQ(::stat(path().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
}

TEST_F(StoreTest, RefusesWhatIsNoStateFileAndSaysWhich) {
  const std::pair<std::string, const char*> cases[] = {
      {"", "is empty"},
      {"not a database at all, but long enough to be looked at", "not a database"},
      {std::string(8192, '\0'), "not a database"},
  };
  for (const auto& [bytes, words] : cases) {
    std::ofstream(path(), std::ios::trunc) << bytes;
    const std::string message = refused();
    EXPECT_NE(message.find(path()), std::string::npos) << message;
    EXPECT_NE(message.find(words), std::string::npos) << message;
    std::filesystem::remove(path());
  }
  std::filesystem::create_directory(path());
  EXPECT_NE(refused(), "opened");
  std::filesystem::remove(path());
  std::filesystem::create_symlink("elsewhere.db", path());
  EXPECT_NE(refused(), "opened");
  EXPECT_FALSE(std::filesystem::exists(directory_ + "/elsewhere.db"));
}

TEST_F(StoreTest, RefusesATruncatedFileAndALogWithoutItsFile) {
  {
    auto store = open();
    ASSERT_TRUE(store->commit(put("web"), at(0)));
  }
  std::filesystem::resize_file(path(), std::filesystem::file_size(path()) / 2);
  EXPECT_NE(refused(), "opened");
  std::filesystem::remove(path());
  std::ofstream(path() + "-wal") << "left behind";
  EXPECT_NE(refused().find("is missing"), std::string::npos);
}

TEST_F(StoreTest, RefusesDamagedPages) {
  {
    auto store = open();
    for (int i = 0; i < 50; ++i) {
      ASSERT_TRUE(store->commit(put(numbered("web", i)), at(0)));
    }
  }
  std::fstream file(path(), std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(4096);
  file << std::string(3 * 4096, 'x');
  file.close();
  EXPECT_NE(refused().find(path()), std::string::npos);
}

TEST_F(StoreTest, ARowThatCannotBeReadIsNamed) {
  {
    auto store = open();
    Change change = put("web");
    change.put_operation = operation("o1", "web");
    ASSERT_TRUE(store->commit(change, at(0)));
  }
  {
    auto database = Database::open(path());
    ASSERT_TRUE(database);
    ASSERT_TRUE(database->run("UPDATE apps SET spec = '{\"workers\":\"many\"}'"));
    ASSERT_TRUE(database->run("UPDATE operations SET phase = 'asleep'"));
  }
  auto store = open();
  const auto apps = store->apps();
  ASSERT_FALSE(apps);
  EXPECT_EQ(apps.error().message,
            path() + ": apps row \"web\": spec: workers: is not a 64-bit integer");
  const auto operations = store->operations();
  ASSERT_FALSE(operations);
  EXPECT_EQ(operations.error().message,
            path() + ": operations row \"o1\": unknown word \"asleep\"");
}

TEST_F(StoreTest, AFileLeftByACrashWhileCreatingIsNoObstacle) {
  std::ofstream(path() + ".new") << "half";
  std::ofstream(path() + ".new-journal") << "half";
  open();
  EXPECT_FALSE(std::filesystem::exists(path() + ".new"));
}

TEST_F(StoreTest, ADirectoryThatIsNotThereIsAnError) {
  std::filesystem::remove_all(directory_);
  EXPECT_NE(refused().find(path()), std::string::npos);
}

TEST_F(StoreTest, KeepsTheNewestHundredCertificatesOfEachApp) {
  auto store = open();
  for (int id = 1; id <= 103; ++id) {
    ASSERT_TRUE(store->commit(put_deaths({death("web", id)}), at(id)));
  }
  ASSERT_TRUE(store->commit(put_deaths({death("a", 1), death("a", 2)}), at(0)));
  const auto of_web = store->deaths("web");
  ASSERT_TRUE(of_web);
  ASSERT_EQ(of_web->size(), 100U);
  EXPECT_EQ(of_web->front(), death("web", 103));
  EXPECT_EQ(of_web->back().id, 4);
  const auto all = store->deaths(std::nullopt);
  ASSERT_EQ(all->size(), 102U);
  EXPECT_EQ(all->at(0).id, 2) << "by app, then newest first";
  const auto last = store->last_deaths();
  ASSERT_EQ(last->size(), 2U);
  EXPECT_EQ(last->at(1), death("web", 103));
}

TEST_F(StoreTest, CertificatesGoWithTheirApp) {
  auto store = open();
  ASSERT_TRUE(store->commit(put_app("web"), at(0)));
  ASSERT_TRUE(store->commit(put_deaths({death("web", 1)}), at(0)));
  Change removal;
  removal.remove_app = "web";
  ASSERT_TRUE(store->commit(removal, at(1)));
  EXPECT_TRUE(store->deaths(std::nullopt)->empty());
}

}  // namespace
}  // namespace appd::store
