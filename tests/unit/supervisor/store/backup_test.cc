// Backups on real files: what they hold, what of it is brought back, and which files are none.
#include "supervisor/store/backup.h"

#include <sys/stat.h>

#include <fstream>
#include <iterator>

#include "supervisor/store/migrations.h"
#include "supervisor/store/sqlite.h"
#include "tests/unit/supervisor/store/store_fixture.h"

namespace appd::store {
namespace {

class BackupTest : public StoreTest {
 protected:
  // A store with one app that has a history.
  std::unique_ptr<Store> store_of_one_app() {
    auto store = open();
    Change change = put_app("web");
    change.put_app->deleting = false;
    change.put_revision = revision("web", 7);
    change.deaths = {death("web", 4)};
    EXPECT_TRUE(store->commit(change, at(0)));
    return store;
  }
  std::string backup() const { return directory_ + "/backup.db"; }
  std::string copy() const { return directory_ + "/copy.db"; }

  // Why the backup cannot be used; the copy of it is gone then.
  std::string unusable() {
    auto opened = BackupCopy::open(backup(), copy());
    EXPECT_FALSE(std::filesystem::exists(copy()) && !opened);
    if (opened) return "usable";
    EXPECT_EQ(opened.error().reason, "BACKUP_UNUSABLE");
    EXPECT_EQ(opened.error().message.find(copy()), std::string::npos) << opened.error().message;
    return opened.error().message;
  }
  std::string content(const std::string& path) const {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  void change_backup(const char* sql) {
    auto database = Database::open(backup());
    ASSERT_TRUE(database);
    ASSERT_TRUE(database->run(sql));
  }
};

TEST_F(BackupTest, IsOneFileForItsOwnerAlone) {
  auto store = store_of_one_app();
  const auto size = store->backup(backup());
  ASSERT_TRUE(size) << size.error().message;
  struct stat status {};
  ASSERT_EQ(::stat(backup().c_str(), &status), 0);
  EXPECT_EQ(status.st_size, *size);
  EXPECT_EQ(status.st_mode & 07777, 0600U);
  for (const auto& entry : std::filesystem::directory_iterator(directory_)) {
    const std::string name = entry.path().filename();
    EXPECT_TRUE(name == "backup.db" || name.starts_with("state.db")) << name;
  }
}

TEST_F(BackupTest, HoldsWhatWasCommittedBeforeAndNothingOfAfterwards) {
  auto store = store_of_one_app();
  ASSERT_TRUE(store->backup(backup()));
  ASSERT_TRUE(store->commit(put_app("later"), at(1)));
  auto opened = BackupCopy::open(backup(), copy());
  ASSERT_TRUE(opened) << opened.error().message;
  ASSERT_EQ((*opened)->apps().size(), 1U);
  EXPECT_EQ((*opened)->apps()[0].spec, full_spec());
  opened->reset();
  EXPECT_FALSE(std::filesystem::exists(copy()));
}

TEST_F(BackupTest, ReplacesNoFile) {
  auto store = store_of_one_app();
  std::ofstream(backup()) << "precious";
  const auto refused = store->backup(backup());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().reason, "BACKUP_FAILED");
  EXPECT_EQ(content(backup()), "precious");
}

TEST_F(BackupTest, ARestoreBringsHistoriesBack) {
  ASSERT_TRUE(store_of_one_app()->backup(backup()));
  std::filesystem::remove(path());
  auto store = open();
  {
    auto opened = BackupCopy::open(backup(), copy());
    ASSERT_TRUE(opened);
    Change change;
    change.put_app = (*opened)->apps()[0];
    change.put_revision = revision("web", 8);
    ASSERT_TRUE(store->restore((*opened)->path(), {change}, at(9)));
  }
  const auto revisions = store->revisions("web");
  ASSERT_TRUE(revisions);
  ASSERT_EQ(revisions->size(), 2U);
  EXPECT_EQ((*revisions)[1].number, 7);
  EXPECT_EQ((*revisions)[1].error_message, revision("web", 7).error_message);
  EXPECT_EQ((*revisions)[1].caller, revision("web", 7).caller);
  const auto deaths = store->deaths("web");
  ASSERT_TRUE(deaths);
  ASSERT_EQ(deaths->size(), 1U);
  EXPECT_EQ((*deaths)[0].id, 4);
  // The store works on without the backup.
  ASSERT_TRUE(store->commit(put_app("more"), at(10)));
}

TEST_F(BackupTest, WhatWasAtWorkIsNotAtWorkForEver) {
  auto store = open();
  Change change = put_app("web");
  change.put_revision = revision("web", 7);
  change.put_revision->outcome = model::OperationPhase::Warming;
  change.put_revision->end_time.reset();
  ASSERT_TRUE(store->commit(change, at(0)));
  ASSERT_TRUE(store->backup(backup()));
  Change removal;
  removal.remove_app = "web";
  ASSERT_TRUE(store->commit(removal, at(1)));
  change.put_revision = revision("web", 8);
  ASSERT_TRUE(store->restore(backup(), {change}, at(9)));
  const auto revisions = store->revisions("web");
  ASSERT_TRUE(revisions);
  ASSERT_EQ(revisions->size(), 2U);
  EXPECT_EQ((*revisions)[1].outcome, model::OperationPhase::Superseded);
  EXPECT_EQ((*revisions)[1].end_time, at(9));
}

TEST_F(BackupTest, ARestoreThatFailsInTheMiddleChangesNothing) {
  ASSERT_TRUE(store_of_one_app()->backup(backup()));
  auto store = open();
  // "web" is there: its history would be there twice.
  Change fresh = put_app("fresh");
  fresh.put_revision = revision("fresh", 1);
  EXPECT_FALSE(store->restore(backup(), {fresh, put_app("web")}, at(9)));
  const auto apps = store->apps();
  ASSERT_TRUE(apps);
  ASSERT_EQ(apps->size(), 1U);
  EXPECT_TRUE(store->revisions("fresh")->empty());
  ASSERT_TRUE(store->restore(backup(), {fresh}, at(9))) << "the backup was let go of";
}

TEST_F(BackupTest, AppsOnTheirWayOutDoNotComeBack) {
  ASSERT_TRUE(open()->commit(put_app("leaving"), at(0)));  // the fixture's app is being deleted
  ASSERT_TRUE(open()->backup(backup()));
  auto opened = BackupCopy::open(backup(), copy());
  ASSERT_TRUE(opened);
  EXPECT_TRUE((*opened)->apps().empty());
}

TEST_F(BackupTest, OtherFilesAreNone) {
  EXPECT_NE(unusable().find("No such file"), std::string::npos);
  for (const std::string& text : {std::string(), std::string("text"), std::string(5000, 'x')}) {
    std::ofstream(backup()) << text;
    EXPECT_NE(unusable().find("no backup"), std::string::npos);
  }
  std::filesystem::remove(backup());
  std::filesystem::create_directory(backup());
  EXPECT_NE(unusable().find("not a regular file"), std::string::npos);
}

TEST_F(BackupTest, OfANewerSchemaIsRefusedAndStaysAsItIs) {
  ASSERT_TRUE(store_of_one_app()->backup(backup()));
  change_backup("PRAGMA user_version = 999");
  const std::string before = content(backup());
  EXPECT_NE(unusable().find("schema 999"), std::string::npos);
  EXPECT_EQ(content(backup()), before);
}

TEST_F(BackupTest, OfAnOlderSchemaIsBroughtUpToDateInTheCopy) {
  {
    std::ofstream(backup()).flush();
    auto database = Database::open(backup());
    ASSERT_TRUE(database);
    ASSERT_TRUE(migrate(*database, 0, 8));
    ASSERT_TRUE(database->run(R"sql(INSERT INTO apps (id, uid, spec, generation, version, rollout,
        deleting, operation, create_time, update_time)
        VALUES ('web', 'u', '{"workers":17}', 3, 5, 7, 0, 'o', 1, 2))sql"));
  }
  const std::string before = content(backup());
  auto opened = BackupCopy::open(backup(), copy());
  ASSERT_TRUE(opened) << opened.error().message;
  ASSERT_EQ((*opened)->apps().size(), 1U);
  EXPECT_EQ((*opened)->apps()[0].spec.workers, 17);
  EXPECT_EQ(content(backup()), before);
}

TEST_F(BackupTest, WithADamagedPageIsRefused) {
  ASSERT_TRUE(store_of_one_app()->backup(backup()));
  std::string damaged = content(backup());
  std::fill(damaged.begin() + 4096, damaged.end(), '\x5a');
  std::ofstream(backup(), std::ios::binary) << damaged;
  EXPECT_NE(unusable(), "usable");
  std::ofstream(backup(), std::ios::binary | std::ios::trunc) << content(path()).substr(0, 4096);
  EXPECT_NE(unusable(), "usable");
}

TEST_F(BackupTest, WithAHistoryThatCannotBeReadIsRefused) {
  ASSERT_TRUE(store_of_one_app()->backup(backup()));
  change_backup("UPDATE revisions SET outcome = 'nonsense'");
  EXPECT_NE(unusable().find("revisions row"), std::string::npos);
}

TEST_F(BackupTest, InThePlaceOfTheCopyIsNotDestroyed) {
  ASSERT_TRUE(store_of_one_app()->backup(copy()));
  EXPECT_FALSE(BackupCopy::open(copy(), copy()));
  EXPECT_TRUE(BackupCopy::open(copy(), backup()));
}

TEST_F(BackupTest, AStateInUseIsNone) {
  auto store = store_of_one_app();
  auto opened = BackupCopy::open(path(), copy());
  ASSERT_FALSE(opened);
  EXPECT_NE(opened.error().message.find("-wal"), std::string::npos) << opened.error().message;
}

}  // namespace
}  // namespace appd::store
