// Every write, sync and truncation of a change fails in turn: the state is the one before the
// change or the one after it, never between, for the running store, for the next one, and after a
// crash.
#include <sqlite3.h>

#include "tests/unit/supervisor/store/fault_vfs.h"
#include "tests/unit/supervisor/store/store_fixture.h"

namespace appd::store {
namespace {

namespace fs = std::filesystem;

constexpr int kEnough = 1000;  // more than any change has of writes and syncs

Change change(std::int64_t version) {
  const std::string number = std::to_string(version);
  Change change;
  change.put_app = app("web");
  change.put_app->version = version;
  // Long enough for overflow pages: several frames a change.
  change.put_app->spec.env["LONG"] = std::string(20'000, static_cast<char>('a' + version));
  change.put_operation = operation("o" + number, "web");
  change.put_revision = revision("web", version);
  change.request = {"r" + number, {"f", "web", "o" + number}};
  change.audit = "changed";
  return change;
}

// The version that all parts of the state agree on; 0: no app. Fails the test when they do not.
std::int64_t version_of(Store& store) {
  const auto apps = store.apps();
  const auto operations = store.operations();
  EXPECT_TRUE(apps) << apps.error().message;
  EXPECT_TRUE(operations) << operations.error().message;
  if (!apps || !operations) return -1;
  const std::int64_t version = apps->empty() ? 0 : apps->front().version;
  EXPECT_EQ(operations->size(), static_cast<std::size_t>(version));
  EXPECT_EQ(store.revisions("web")->size(), static_cast<std::size_t>(version));
  if (!apps->empty()) {
    EXPECT_EQ(apps->front().spec.env.at("LONG").front(), static_cast<char>('a' + version));
  }
  for (std::int64_t i = 1; i <= version + 1; ++i) {
    EXPECT_EQ(store.find_request("r" + std::to_string(i))->has_value(), i <= version);
  }
  return version;
}

class FaultTest : public StoreTest {
 protected:
  // What a new appd would find had this one been killed now.
  std::int64_t version_after_a_crash() {
    const fs::path copy = directory_ + "/crash";
    fs::remove_all(copy);
    fs::create_directory(copy);
    for (const char* suffix : {"", "-wal"}) {
      if (fs::exists(path() + suffix)) {
        fs::copy_file(path() + suffix, copy / (std::string("state.db") + suffix));
      }
    }
    auto store = Store::open((copy / "state.db").string());
    EXPECT_TRUE(store) << store.error().message;
    return store ? version_of(**store) : -1;
  }
  FaultVfs faults_;
};

class FaultInCommit : public FaultTest, public testing::WithParamInterface<int> {};

TEST_P(FaultInCommit, LeavesTheStateBeforeOrAfterButNeverBetween) {
  int n = 1;
  for (bool struck = true; struck; ++n) {
    ASSERT_LT(n, kEnough);
    auto store = open();
    ASSERT_TRUE(store->commit(change(1), at(0)));
    faults_.fail_from(n, GetParam());
    const auto outcome = store->commit(change(2), at(1));
    struck = faults_.struck();
    faults_.heal();
    if (!outcome) {
      EXPECT_EQ(outcome.error().reason, "STORE_FAILED");
      EXPECT_EQ(outcome.error().code == ErrorCode::ResourceExhausted, GetParam() == SQLITE_FULL);
    }
    EXPECT_EQ(version_of(*store), outcome ? 2 : 1) << "fault at " << n;
    const std::int64_t crashed = version_after_a_crash();
    EXPECT_TRUE(crashed == 2 || (!outcome && crashed == 1)) << "fault at " << n;
    store.reset();
    store = open();
    const std::int64_t reopened = version_of(*store);
    EXPECT_TRUE(reopened == 2 || (!outcome && reopened == 1)) << "fault at " << n;
    // And it goes on working.
    EXPECT_TRUE(store->commit(change(reopened + 1), at(2)));
    EXPECT_EQ(version_of(*store), reopened + 1);
    store.reset();
    fs::remove(path());
  }
  EXPECT_GT(n, 5);  // several writes and a sync were tried
}

INSTANTIATE_TEST_SUITE_P(IoErrorsAndFullDisk, FaultInCommit,
                         testing::Values(SQLITE_IOERR_WRITE, SQLITE_FULL));

TEST_F(FaultTest, WhatWasRefusedIsGoneFromTheDiskOnceItIsWell) {
  int n = 1;
  int came_back = 0;
  for (bool struck = true; struck; ++n) {
    ASSERT_LT(n, kEnough);
    auto store = open();
    ASSERT_TRUE(store->commit(change(1), at(0)));
    faults_.fail_from(n, SQLITE_IOERR_WRITE);
    const std::int64_t known = store->commit(change(2), at(1)) ? 2 : 1;
    struck = faults_.struck();
    EXPECT_EQ(store->settled(), known == 2) << "fault at " << n;
    if (version_after_a_crash() != known) ++came_back;
    faults_.heal();
    EXPECT_TRUE(store->settled());
    EXPECT_EQ(version_after_a_crash(), known) << "fault at " << n;
    // And it accepts changes again.
    EXPECT_TRUE(store->commit(change(known + 1), at(2)));
    EXPECT_EQ(version_of(*store), known + 1);
    store.reset();
    fs::remove(path());
  }
  EXPECT_GT(came_back, 0);  // there is something to be cut off
}

TEST_F(FaultTest, ASickDiskRefusesTheNextChangeToo) {
  auto store = open();
  ASSERT_TRUE(store->commit(change(1), at(0)));
  faults_.fail_from(1, SQLITE_FULL);
  EXPECT_FALSE(store->commit(change(2), at(1)));
  const auto again = store->commit(change(2), at(1));
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, ErrorCode::ResourceExhausted);
  faults_.heal();
  EXPECT_TRUE(store->commit(change(2), at(1)));
  EXPECT_EQ(version_of(*store), 2);
}

TEST_F(FaultTest, WhoReadsTheFileKeepsNobodyFromChangingItAgain) {
  auto store = open();
  ASSERT_TRUE(store->commit(change(1), at(0)));
  sqlite3* reader = nullptr;
  ASSERT_EQ(sqlite3_open(path().c_str(), &reader), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(reader, "BEGIN; SELECT * FROM apps", nullptr, nullptr, nullptr),
            SQLITE_OK);
  faults_.fail_from(1, SQLITE_IOERR_WRITE);
  EXPECT_FALSE(store->commit(change(2), at(1)));
  faults_.heal();
  EXPECT_FALSE(store->settled());
  EXPECT_TRUE(store->commit(change(2), at(2)));
  sqlite3_close(reader);
  EXPECT_TRUE(store->settled());
  EXPECT_EQ(version_of(*store), 2);
}

TEST_F(FaultTest, AGroupOfChangesIsOneSync) {
  auto store = open();
  ASSERT_TRUE(store->commit(change(1), at(0)));
  const int before = faults_.syncs();
  const std::vector<Change> group{change(2), change(3), change(4)};
  ASSERT_TRUE(store->commit_all(group, at(1)));
  EXPECT_EQ(faults_.syncs(), before + 1);
  EXPECT_EQ(version_of(*store), 4);
  EXPECT_EQ(version_after_a_crash(), 4);
}

TEST_F(FaultTest, AGroupOfChangesIsWrittenWholeOrNotAtAll) {
  int n = 1;
  for (bool struck = true; struck; ++n) {
    ASSERT_LT(n, kEnough);
    auto store = open();
    ASSERT_TRUE(store->commit(change(1), at(0)));
    faults_.fail_from(n, SQLITE_FULL);
    const std::vector<Change> group{change(2), change(3)};
    const std::int64_t known = store->commit_all(group, at(1)) ? 3 : 1;
    struck = faults_.struck();
    faults_.heal();
    EXPECT_EQ(version_of(*store), known) << "fault at " << n;
    const std::int64_t crashed = version_after_a_crash();
    EXPECT_TRUE(crashed == 3 || (known == 1 && crashed == 1)) << "fault at " << n;
    store.reset();
    fs::remove(path());
  }
}

TEST_F(FaultTest, CreationIsCompleteOrNotAtAll) {
  int n = 1;
  for (bool struck = true; struck; ++n) {
    ASSERT_LT(n, kEnough);
    faults_.fail_from(n, SQLITE_IOERR_WRITE);
    auto store = Store::open(path());
    struck = faults_.struck();
    faults_.heal();
    if (store) (*store).reset();
    store = Store::open(path());
    ASSERT_TRUE(store) << "fault at " << n << ": " << store.error().message;
    EXPECT_EQ(version_of(**store), 0);
    (*store).reset();
    fs::remove(path());
  }
  EXPECT_GT(n, 5);
}

TEST_F(FaultTest, EveryCommitIsSyncedBeforeItAnswers) {
  auto store = open();
  ASSERT_TRUE(store->commit(change(1), at(0)));
  const int before = faults_.syncs();
  ASSERT_TRUE(store->commit(change(2), at(0)));
  EXPECT_GT(faults_.syncs(), before);
}

}  // namespace
}  // namespace appd::store
