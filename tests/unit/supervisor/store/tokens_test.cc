// Tokens on disk.
#include "supervisor/store/sqlite.h"
#include "tests/unit/supervisor/store/store_fixture.h"

namespace appd::store {
namespace {

model::Token token(const std::string& id) {
  return {id,    std::string(64, 'a'), {model::Role::Deployer, {"web", "api"}}, at(1),
          at(2), "uid 0 user root"};
}

void put(Store& store, const model::Token& token) {
  Change change;
  change.put_token = token;
  ASSERT_TRUE(store.commit(change, at(3)));
}

TEST_F(StoreTest, TokensComeBackAsTheyWereByName) {
  model::Token plain = token("ana");
  plain.rights = {model::Role::Admin, {}};
  plain.expire_time.reset();
  {
    auto store = open();
    put(*store, token("ci"));
    put(*store, plain);
  }
  EXPECT_EQ(*open()->tokens(), (std::vector{plain, token("ci")}));
}

TEST_F(StoreTest, ATokenIsReplacedAndRemoved) {
  auto store = open();
  put(*store, token("ci"));
  model::Token other = token("ci");
  other.hash = std::string(64, 'b');
  put(*store, other);
  EXPECT_EQ(*store->tokens(), std::vector{other});
  Change change;
  change.remove_token = "ci";
  change.audit = "revoked token ci";
  ASSERT_TRUE(store->commit(change, at(4)));
  EXPECT_TRUE(store->tokens()->empty());
}

}  // namespace
}  // namespace appd::store
