// Each migration: what it makes of the file before it. And files that no migration may touch.
#include "supervisor/store/migrations.h"

#include <fstream>

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
            "apps audit operations requests");
}

TEST_F(Migrations, Version2KeepsTheSpecsOfVersion1AndTheirClass) {
  Change change;
  change.put_app = app("web");
  ASSERT_TRUE(open()->commit(change, at(0)));
  {
    Database database = raw();
    ASSERT_TRUE(database.run(
        R"(UPDATE apps SET spec = '{"directory":"/srv/web","worker_class":"sync","threads":8}')"));
    ASSERT_TRUE(database.run("PRAGMA user_version = 1"));
  }
  const auto apps = open()->apps();
  ASSERT_TRUE(apps);
  ASSERT_EQ(apps->size(), 1U);
  model::AppSpec expected;
  expected.directory = "/srv/web";
  expected.worker_class = "sync";
  expected.threads = 8;
  EXPECT_EQ(apps->front().spec, expected);
  EXPECT_EQ(*raw().number("PRAGMA user_version"), 2);
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
