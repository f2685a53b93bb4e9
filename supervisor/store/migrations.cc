// The schema's history. A released migration never changes; a new one is added below it, with a
// test.
//
//   apps                               operations                        requests
//   ─────────────────────────────      ────────────────────────── ──────────────────────────── id
//   "web"              sequence   order of creation      id           UUID of the call uid UUID id
//   UUID                   fingerprint  of the call spec            JSON (codec.h)     app id;
//   stays when the     app          id generation      edits of spec                 app is removed
//   operation    id version         edits of row       kind       "scale"                time ns
//   rollout         wanted copy        phase      "draining"
//   deleting        0 or 1             generation, rollout               audit
//   last_good_spec  JSON or NULL       reason, error_message ──────────────────────────── operation
//   id of newest       failure    JSON or NULL           id           order create_time     ns
//   ready_workers, wanted_workers,    time         ns update_time     ns draining_workers text what
//   was done
//                                      create_time    ns
//                                      end_time       ns or NULL
//
// Times are nanoseconds since 1970, UTC. A new field of a spec is a new schema version too, even if
// no table changes: an older appd must refuse the file instead of dropping the field.
#include "supervisor/store/migrations.h"

#include <array>
#include <string>

namespace appd::store {
namespace {

constexpr const char* kVersion1 = R"sql(
CREATE TABLE apps (
  id TEXT PRIMARY KEY NOT NULL,
  uid TEXT NOT NULL,
  spec TEXT NOT NULL,
  generation INTEGER NOT NULL,
  version INTEGER NOT NULL,
  rollout INTEGER NOT NULL,
  deleting INTEGER NOT NULL,
  last_good_spec TEXT,
  operation TEXT NOT NULL,
  create_time INTEGER NOT NULL,
  update_time INTEGER NOT NULL
) STRICT;
CREATE TABLE operations (
  sequence INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  app TEXT NOT NULL,
  kind TEXT NOT NULL,
  phase TEXT NOT NULL,
  generation INTEGER NOT NULL,
  rollout INTEGER NOT NULL,
  reason TEXT NOT NULL,
  error_message TEXT NOT NULL,
  failure TEXT,
  ready_workers INTEGER NOT NULL,
  wanted_workers INTEGER NOT NULL,
  draining_workers INTEGER NOT NULL,
  create_time INTEGER NOT NULL,
  end_time INTEGER
) STRICT;
CREATE INDEX operations_by_app ON operations (app, sequence);
CREATE TABLE requests (
  id TEXT PRIMARY KEY NOT NULL,
  fingerprint TEXT NOT NULL,
  app TEXT NOT NULL,
  operation TEXT NOT NULL,
  time INTEGER NOT NULL
) STRICT;
CREATE INDEX requests_by_time ON requests (time);
CREATE TABLE audit (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  time INTEGER NOT NULL,
  text TEXT NOT NULL
) STRICT;
)sql";

// kMigrations[n] takes version n to version n + 1.
constexpr std::array kMigrations = {kVersion1};

}  // namespace

std::int32_t current_schema_version() { return static_cast<std::int32_t>(kMigrations.size()); }

Result<void> migrate(Database& database, std::int64_t from) {
  for (std::int64_t version = from; version < current_schema_version(); ++version) {
    Transaction transaction = TRY(Transaction::begin(database));
    TRY(database.run(kMigrations.at(static_cast<std::size_t>(version))));
    // Both live in the file's header and take part in the transaction.
    TRY(database.run(("PRAGMA application_id = " + std::to_string(kApplicationId)).c_str()));
    TRY(database.run(("PRAGMA user_version = " + std::to_string(version + 1)).c_str()));
    TRY(transaction.commit());
  }
  return {};
}

}  // namespace appd::store
