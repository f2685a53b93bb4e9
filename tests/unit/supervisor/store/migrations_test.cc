// Each migration: what it makes of the file before it. And files that no migration may touch.
#include "supervisor/store/migrations.h"

#include <fstream>

#include "supervisor/store/codec.h"
#include "tests/unit/supervisor/store/store_fixture.h"

namespace appd::store {
namespace {

class Migrations : public StoreTest {
 protected:
  // A database file made by hand.
  Database raw() {
    std::ofstream(path(), std::ios::app).flush();
    auto database = Database::open(path());
    if (!database) std::abort();
    return *std::move(database);
  }
};

TEST_F(Migrations, Version1MakesTheTablesOfAnEmptyFile) {
  Database database = raw();
  ASSERT_TRUE(migrate(database, 0));
  EXPECT_EQ(*database.number("PRAGMA application_id"), kApplicationId);
  EXPECT_EQ(*database.number("PRAGMA user_version"), current_schema_version());
  EXPECT_EQ(*database.text("SELECT group_concat(name, ' ') FROM (SELECT name FROM sqlite_schema"
                           " WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name)"),
            "apps audit deaths operations requests revisions tokens");
}

TEST_F(Migrations, Version2KeepsTheSpecsOfVersion1AndTheirClass) {
  {
    Database database = raw();
    ASSERT_TRUE(migrate(database, 0, 1));
    ASSERT_TRUE(database.run(R"sql(INSERT INTO apps VALUES ('web', 'u',
        '{"directory":"/srv/web","worker_class":"sync","threads":8}', 3, 5, 7, 0, NULL, 'o', 1, 2))sql"));
  }
  const auto apps = open()->apps();
  ASSERT_TRUE(apps);
  ASSERT_EQ(apps->size(), 1U);
  model::AppSpec expected;
  expected.directory = "/srv/web";
  expected.worker_class = "sync";
  expected.threads = 8;
  EXPECT_EQ(apps->front().spec, expected);
  EXPECT_EQ(*raw().number("PRAGMA user_version"), current_schema_version());
}

// Two apps as version 2 knew them: one that served, and one whose change was under way.
constexpr const char* kTwoApps = R"sql(
INSERT INTO operations (id, app, kind, phase, generation, rollout, reason, error_message, failure,
  ready_workers, wanted_workers, draining_workers, create_time, end_time) VALUES
  ('o1', 'web', 'reload', 'rolled_back', 2, 4, 'release 7', 'no', NULL, 1, 1, 0, 5, 6),
  ('o2', 'shop', 'scale', 'applying', 2, 0, '', '', NULL, 1, 1, 0, 7, NULL);
INSERT INTO apps VALUES
  ('web', 'u1', '{"workers":17}', 2, 9, 4, 0, '{"workers":4}', 'o1', 1, 5000000000),
  ('shop', 'u2', '{"workers":3}', 2, 9, 1, 0, '{}', 'o2', 1, 7);
INSERT INTO audit (time, text) VALUES (5, 'reloaded web (release 7) by uid 0 pid 1');
INSERT INTO requests VALUES ('r1', 'print', 'web', 'o1', 5);
)sql";

TEST_F(Migrations, Version3BeginsTheHistoryWithWhatEachAppIs) {
  {
    Database database = raw();
    ASSERT_TRUE(migrate(database, 0, 2));
    ASSERT_TRUE(database.run(kTwoApps));
  }
  auto store = open();
  const auto apps = store->apps();
  ASSERT_TRUE(apps) << apps.error().message;
  EXPECT_EQ(apps->at(1).revision, 1);
  const auto history = store->revisions("web");
  ASSERT_TRUE(history) << history.error().message;
  ASSERT_EQ(history->size(), 1U);
  const model::Revision& first = history->front();
  EXPECT_EQ(first.number, 1);
  EXPECT_EQ(first.generation, 2);
  EXPECT_EQ(first.rollout, 4);
  EXPECT_EQ(first.spec.workers, 17);
  EXPECT_EQ(first.time, decode_time(5'000'000'000));
  EXPECT_EQ(first.caller, model::Caller());
  EXPECT_EQ(first.method, "ReloadApp");
  EXPECT_EQ(first.reason, "release 7");
  EXPECT_TRUE(first.good()) << "what serves after a refused reload is good";
}

TEST_F(Migrations, Version3FollowsAChangeThatWasUnderWayToItsEnd) {
  {
    Database database = raw();
    ASSERT_TRUE(migrate(database, 0, 2));
    ASSERT_TRUE(database.run(kTwoApps));
  }
  auto store = open();
  EXPECT_EQ(store->revisions("shop")->front().outcome, model::OperationPhase::Applying);
  std::vector<model::Operation> operations = *store->operations();
  model::Operation& scale = operations.front();
  ASSERT_EQ(scale.id, "o2");
  EXPECT_EQ(scale.revision, 1);
  scale.phase = model::OperationPhase::Succeeded;
  scale.end_time = at(9);
  Change change;
  change.more_operations = {scale};
  ASSERT_TRUE(store->commit(change, at(9)));
  EXPECT_TRUE(store->revisions("shop")->front().good());
}

TEST_F(Migrations, Version3KeepsTheAuditAndTheRequests) {
  {
    Database database = raw();
    ASSERT_TRUE(migrate(database, 0, 2));
    ASSERT_TRUE(database.run(kTwoApps));
  }
  EXPECT_TRUE(open()->find_request("r1")->has_value());
  EXPECT_EQ(*raw().text("SELECT text FROM audit"), "reloaded web (release 7) by uid 0 pid 1");
}

TEST_F(Migrations, Version11KnowsOfOldRevisionsNeitherIdentityNorAddress) {
  {
    Database database = raw();
    ASSERT_TRUE(migrate(database, 0, 2));
    ASSERT_TRUE(database.run(kTwoApps));
    ASSERT_TRUE(migrate(database, 2, 10));
    ASSERT_TRUE(database.run("UPDATE revisions SET uid = 7, user = 'me', client = 'x/1'"));
  }
  auto store = open();
  const auto history = store->revisions("web");
  ASSERT_TRUE(history) << history.error().message;
  EXPECT_EQ(history->front().caller, (model::Caller{7, 0, "me", "x/1", "", ""}));
  EXPECT_EQ(*store->tokens(), std::vector<model::Token>());
}

TEST_F(Migrations, Version4RemembersOfNoRolloutThatItsTasksAreDone) {
  {
    Database database = raw();
    ASSERT_TRUE(migrate(database, 0, 3));
    ASSERT_TRUE(database.run(R"sql(INSERT INTO apps (id, uid, spec, generation, version, rollout,
        revision, deleting, operation, create_time, update_time)
        VALUES ('web', 'u', '{"workers":3}', 3, 5, 7, 1, 0, 'o', 1, 2))sql"));
  }
  const auto apps = open()->apps();
  ASSERT_TRUE(apps) << apps.error().message;
  EXPECT_EQ(apps->front().run_once_rollout, 0);
  EXPECT_EQ(apps->front().spec.workers, 3);
}

TEST_F(Migrations, Version5KeepsTheAppsOfVersion4AndDoesNotKnowWhichRolloutServes) {
  {
    Database database = raw();
    ASSERT_TRUE(migrate(database, 0, 2));
    ASSERT_TRUE(database.run(kTwoApps));
    ASSERT_TRUE(migrate(database, 2, 4));
  }
  const auto apps = open()->apps();
  ASSERT_TRUE(apps) << apps.error().message;
  ASSERT_EQ(apps->size(), 2U);
  EXPECT_EQ(apps->back().spec.workers, 17);
  EXPECT_EQ(apps->back().spec.health_path, "");
  EXPECT_EQ(apps->back().rollout, 4);
  EXPECT_EQ(apps->back().failed_rollout, 0);
  EXPECT_EQ(apps->back().good_rollout, 0);
}

TEST_F(Migrations, Version6AddsTheCertificatesOfDeath) {
  {
    Database database = raw();
    ASSERT_TRUE(migrate(database, 0, 5));
  }
  auto store = open();
  Change change;
  change.deaths = {death("web", 1)};
  ASSERT_TRUE(store->commit(change, at(0)));
  EXPECT_EQ(store->deaths("web")->size(), 1U);
}

TEST_F(Migrations, Version7GivesLogsThatWereNeverRotatedTheDefaults) {
  {
    Database database = raw();
    ASSERT_TRUE(migrate(database, 0, 6));
    ASSERT_TRUE(database.run(R"sql(INSERT INTO apps (id, uid, spec, generation, version, rollout,
        revision, deleting, operation, create_time, update_time)
        VALUES ('web', 'u', '{"workers":3}', 3, 5, 7, 1, 0, 'o', 1, 2))sql"));
  }
  const auto apps = open()->apps();
  ASSERT_TRUE(apps) << apps.error().message;
  const model::AppSpec& spec = apps->front().spec;
  EXPECT_EQ(spec.log_max_size, std::int64_t{64} << 20);
  EXPECT_EQ(spec.log_keep, 5);
  EXPECT_TRUE(spec.log_prefix);
}

TEST_F(Migrations, Version8KnowsOfNothingThatWasCutBefore) {
  {
    Database database = raw();
    ASSERT_TRUE(migrate(database, 0, 7));
    ASSERT_TRUE(
        database.run(R"sql(INSERT INTO operations (id, app, kind, phase, generation, rollout,
        revision, reason, error_message, ready_workers, wanted_workers, draining_workers, create_time)
        VALUES ('o1', 'web', 'reload', 'draining', 1, 2, 2, '', '', 1, 1, 1, 5))sql"));
  }
  auto store = open();
  const auto operations = store->operations();
  ASSERT_TRUE(operations) << operations.error().message;
  EXPECT_FALSE(operations->front().cut.any());
  Change change;
  change.more_operations = {operation("o1", "web")};
  ASSERT_TRUE(store->commit(change, at(0)));
  EXPECT_EQ(store->operations()->front().cut, operation("o1", "web").cut);
}

TEST_F(Migrations, AStepThatFailsLeavesTheFileAsItWas) {
  Database database = raw();
  ASSERT_TRUE(database.run("CREATE TABLE audit (x)"));  // stands in the way of version 1's
  EXPECT_FALSE(migrate(database, 0));
  EXPECT_EQ(*database.number("PRAGMA user_version"), 0);
  EXPECT_EQ(*database.number("SELECT count(*) FROM sqlite_schema"), 1);
}

TEST_F(Migrations, ANewerSchemaIsRefusedAndUntouched) {
  open();
  {
    Database database = raw();
    ASSERT_TRUE(database.run("PRAGMA user_version = 99"));
  }
  const std::string message = refused();
  EXPECT_NE(message.find(path()), std::string::npos) << message;
  EXPECT_NE(message.find("schema 99"), std::string::npos) << message;
  EXPECT_EQ(*raw().number("PRAGMA user_version"), 99);
}

TEST_F(Migrations, AnotherProgramsDatabaseIsRefused) {
  ASSERT_TRUE(raw().run("CREATE TABLE theirs (x)"));
  EXPECT_NE(refused().find("another program"), std::string::npos);
}

}  // namespace
}  // namespace appd::store
