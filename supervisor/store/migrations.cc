// The schema's history. A released migration never changes; a new one is added below it, with a
// test.
//
//   apps            one row an app
//     id              "web"
//     uid             UUID
//     spec            JSON (codec.h)
//     generation      edits of spec
//     version         edits of row
//     rollout         wanted copy of the code
//     revision        number of the newest
//     deleting        0 or 1
//     last_good_spec  JSON or NULL
//     failed_rollout  refused, not to be tried again; 0: none
//     good_rollout    served last as asked; 0: none, or from before version 5
//     operation       id of the newest
//     create_time, update_time
//     run_once_rollout  the rollout whose run_once tasks are done
//   operations      one row an operation
//     sequence        order of creation
//     id              UUID
//     app             app's id; stays when the app is removed
//     kind            "scale"
//     phase           "draining"
//     generation, rollout
//     revision        number of the one it wrote, or 0
//     reason, error_message
//     failure         JSON or NULL
//     ready_workers, wanted_workers, draining_workers
//     create_time, end_time (or NULL)
//     cut             JSON, or NULL: nothing was cut
//   revisions       one row an edit of spec or rollout; they go with their app
//     app             app's id
//     number          from 1 for each app
//     generation, rollout
//     spec            JSON
//     time
//     uid             of the caller, or NULL
//     pid, user, client
//     identity, address
//     method          "ScaleApp"; empty: appd took back what had failed
//     reason
//     operation       id, or empty
//     outcome         phase of the operation
//     error_message
//     cause           "import_failed" or NULL
//     end_time        or NULL
//     restores        number of the one whose spec it brought back, or 0
//   requests        one row a request_id
//     id              UUID
//     fingerprint     of the call
//     app, operation  ids; of a token its id is in operation
//     time
//   audit           one row a change
//     id              order
//     time
//     text            what was done
//   deaths          one row a worker that did not end as it should
//     app, id         id counts from 1 for each app
//     certificate     JSON
//   tokens          one row a token of the API
//     id
//     hash            SHA-256 of its secret, hexadecimal
//     role            "viewer"
//     apps            ids with blanks between; empty: all
//     create_time
//     expire_time     or NULL: never
//     creator
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

// Specs have unix_socket_mode, root_path, loop, lifespan, worker_connections, the trusted
// addresses, PROXY protocol, the access log and WebSockets; no table changes. Absent, they take
// their defaults. A class that was stored stays, although the default has become "auto".
constexpr const char* kVersion2 = "";

// The history begins with what each app is now: who made it so is not known.
constexpr const char* kVersion3 = R"sql(
ALTER TABLE apps ADD COLUMN revision INTEGER NOT NULL DEFAULT 1;
ALTER TABLE operations ADD COLUMN revision INTEGER NOT NULL DEFAULT 0;
CREATE TABLE revisions (
  app TEXT NOT NULL,
  number INTEGER NOT NULL,
  generation INTEGER NOT NULL,
  rollout INTEGER NOT NULL,
  spec TEXT NOT NULL,
  time INTEGER NOT NULL,
  uid INTEGER,
  pid INTEGER NOT NULL,
  user TEXT NOT NULL,
  client TEXT NOT NULL,
  method TEXT NOT NULL,
  reason TEXT NOT NULL,
  operation TEXT NOT NULL,
  outcome TEXT NOT NULL,
  error_message TEXT NOT NULL,
  cause TEXT,
  end_time INTEGER,
  restores INTEGER NOT NULL,
  PRIMARY KEY (app, number)
) STRICT;
CREATE INDEX revisions_by_operation ON revisions (operation);
INSERT INTO revisions
SELECT a.id, 1, a.generation, a.rollout, a.spec, a.update_time, NULL, 0, '', '',
       CASE o.kind WHEN 'create' THEN 'CreateApp' WHEN 'scale' THEN 'ScaleApp'
                   WHEN 'reload' THEN 'ReloadApp' WHEN 'delete' THEN 'DeleteApp'
                   ELSE 'UpdateApp' END,
       ifnull(o.reason, ''), ifnull(o.id, ''),
       CASE WHEN o.id IS NOT NULL AND o.end_time IS NULL THEN o.phase
            WHEN a.last_good_spec IS NOT NULL THEN 'succeeded'
            ELSE ifnull(o.phase, 'failed') END,
       '', NULL, o.end_time, 0
FROM apps AS a LEFT JOIN operations AS o ON o.id = a.operation;
UPDATE operations SET revision = 1
WHERE end_time IS NULL AND id IN (SELECT operation FROM revisions);
)sql";

// Specs have command, startsecs, stop_signal, run_once and run_once_timeout.
constexpr const char* kVersion4 = R"sql(
ALTER TABLE apps ADD COLUMN run_once_rollout INTEGER NOT NULL DEFAULT 0;
)sql";

// Specs have the health check, canary, bake, max_error_rate, max_latency_factor, max_surge and
// memory_budget; an app remembers which rollout serves, and which was refused.
constexpr const char* kVersion5 = R"sql(
ALTER TABLE apps ADD COLUMN failed_rollout INTEGER NOT NULL DEFAULT 0;
ALTER TABLE apps ADD COLUMN good_rollout INTEGER NOT NULL DEFAULT 0;
)sql";

// What is kept of workers that ended.
constexpr const char* kVersion6 = R"sql(
CREATE TABLE deaths (
  app TEXT NOT NULL,
  id INTEGER NOT NULL,
  certificate TEXT NOT NULL,
  PRIMARY KEY (app, id)
) STRICT;
)sql";

// Specs have log_prefix, log_max_size, log_max_age, log_keep, request_timeout and the limits of
// recycling, and certificates have stacks; no table changes.
constexpr const char* kVersion7 = "";

// Operations tell what was cut off for them; in certificates, requests have a stage.
constexpr const char* kVersion8 = R"sql(
ALTER TABLE operations ADD COLUMN cut TEXT;
)sql";

// Specs have user, group, umask, no_new_privs and resource limits; no table changes.
constexpr const char* kVersion9 = "";

// Specs have limits of memory and CPU; no table changes.
constexpr const char* kVersion10 = "";

// Whom appd knows by a secret, and who made a change from where.
constexpr const char* kVersion11 = R"sql(
CREATE TABLE tokens (
  id TEXT PRIMARY KEY NOT NULL,
  hash TEXT NOT NULL,
  role TEXT NOT NULL,
  apps TEXT NOT NULL,
  create_time INTEGER NOT NULL,
  expire_time INTEGER,
  creator TEXT NOT NULL
) STRICT;
ALTER TABLE revisions ADD COLUMN identity TEXT NOT NULL DEFAULT '';
ALTER TABLE revisions ADD COLUMN address TEXT NOT NULL DEFAULT '';
)sql";

// Specs have limit_pids and require_limits; no table changes.
constexpr const char* kVersion12 = "";

// kMigrations[n] takes version n to version n + 1.
constexpr std::array kMigrations = {kVersion1, kVersion2,  kVersion3,  kVersion4,
                                    kVersion5, kVersion6,  kVersion7,  kVersion8,
                                    kVersion9, kVersion10, kVersion11, kVersion12};

}  // namespace

std::int32_t current_schema_version() { return static_cast<std::int32_t>(kMigrations.size()); }

Result<void> migrate(Database& database, std::int64_t from, std::int64_t to) {
  for (std::int64_t version = from; version < to; ++version) {
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
