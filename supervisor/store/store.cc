// The store: reading rows, and the one transaction of a change.
#include "supervisor/store/store.h"

#include <unistd.h>

#include <cerrno>
#include <set>

#include "common/failpoint.h"
#include "supervisor/store/backup_file.h"
#include "supervisor/store/codec.h"
#include "supervisor/store/deaths.h"
#include "supervisor/store/file.h"
#include "supervisor/store/migrations.h"
#include "supervisor/store/revision_rows.h"
#include "supervisor/store/sqlite.h"
#include "supervisor/store/token_rows.h"

namespace appd::store {
namespace {

constexpr std::chrono::hours kKeepRequests{24};
constexpr std::chrono::hours kKeepOperationsOfRemovedApps{24};
constexpr std::int64_t kKeepOperations = 200;  // ended ones, of each app
constexpr std::int64_t kKeepAudit = 10'000;
constexpr std::chrono::minutes kForgetEvery{1};  // what is too old; it takes a look at everything

std::int64_t before(model::WallTime now, std::chrono::hours age) { return encode_time(now - age); }

Result<model::AppRecord> read_app(const Statement& row) {
  model::AppRecord app;
  app.id = row.text(0);
  app.uid = row.text(1);
  auto spec = decode_spec(row.text(2));
  if (!spec) return std::move(spec).error().context("spec");
  app.spec = *std::move(spec);
  app.generation = row.number(3);
  app.version = row.number(4);
  app.rollout = row.number(5);
  app.revision = row.number(6);
  app.deleting = row.number(7) != 0;
  if (const auto json = row.optional_text(8)) {
    auto good = decode_spec(*json);
    if (!good) return std::move(good).error().context("last_good_spec");
    app.last_good_spec = *std::move(good);
  }
  app.operation = row.text(9);
  app.create_time = decode_time(row.number(10));
  app.update_time = decode_time(row.number(11));
  app.run_once_rollout = row.number(12);
  app.failed_rollout = row.number(13);
  app.good_rollout = row.number(14);
  return app;
}

Result<model::Operation> read_operation(const Statement& row) {
  model::Operation operation;
  operation.id = row.text(0);
  operation.app = row.text(1);
  operation.kind = TRY(decode_kind(row.text(2)));
  operation.phase = TRY(decode_phase(row.text(3)));
  operation.generation = row.number(4);
  operation.rollout = row.number(5);
  operation.revision = row.number(6);
  operation.reason = row.text(7);
  operation.error_message = row.text(8);
  if (const auto json = row.optional_text(9)) {
    auto failure = decode_failure(*json);
    if (!failure) return std::move(failure).error().context("failure");
    operation.failure = *std::move(failure);
  }
  operation.ready_workers = static_cast<std::int32_t>(row.number(10));
  operation.wanted_workers = static_cast<std::int32_t>(row.number(11));
  operation.draining_workers = static_cast<std::int32_t>(row.number(12));
  operation.create_time = decode_time(row.number(13));
  if (const auto time = row.optional_number(14)) operation.end_time = decode_time(*time);
  if (const auto json = row.optional_text(15)) {
    auto cut = decode_cut(*json);
    if (!cut) return std::move(cut).error().context("cut");
    operation.cut = *std::move(cut);
  }
  return operation;
}

Result<void> write_app(Database& database, const model::AppRecord& app) {
  std::optional<std::string> good;
  if (app.last_good_spec) good = TRY(encode_spec(*app.last_good_spec));
  Statement statement = TRY(Statement::prepare(
      database,
      "INSERT OR REPLACE INTO apps (id, uid, spec, generation, version, rollout, revision, "
      "deleting,"
      " last_good_spec, operation, create_time, update_time, run_once_rollout, failed_rollout,"
      " good_rollout) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"));
  return statement.bind(app.id)
      .bind(app.uid)
      .bind(TRY(encode_spec(app.spec)))
      .bind(app.generation)
      .bind(app.version)
      .bind(app.rollout)
      .bind(app.revision)
      .bind(std::int64_t{app.deleting})
      .bind(good)
      .bind(app.operation)
      .bind(encode_time(app.create_time))
      .bind(encode_time(app.update_time))
      .bind(app.run_once_rollout)
      .bind(app.failed_rollout)
      .bind(app.good_rollout)
      .run();
}

Result<void> write_operation(Database& database, const model::Operation& operation) {
  std::optional<std::string> failure;
  if (operation.failure) failure = TRY(encode_failure(*operation.failure));
  std::optional<std::string> cut;
  if (operation.cut.any()) cut = TRY(encode_cut(operation.cut));
  std::optional<std::int64_t> end_time;
  if (operation.end_time) end_time = encode_time(*operation.end_time);
  // An update in place: the row keeps its sequence.
  Statement statement = TRY(Statement::prepare(
      database,
      "INSERT INTO operations (id, app, kind, phase, generation, rollout, revision, reason,"
      " error_message, failure, ready_workers, wanted_workers, draining_workers, create_time,"
      " end_time, cut) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT (id) DO UPDATE SET"
      " app = excluded.app, kind = excluded.kind, phase = excluded.phase,"
      " generation = excluded.generation, rollout = excluded.rollout,"
      " revision = excluded.revision, reason = excluded.reason,"
      " error_message = excluded.error_message, failure = excluded.failure,"
      " ready_workers = excluded.ready_workers, wanted_workers = excluded.wanted_workers,"
      " draining_workers = excluded.draining_workers, create_time = excluded.create_time,"
      " end_time = excluded.end_time, cut = excluded.cut"));
  return statement.bind(operation.id)
      .bind(operation.app)
      .bind(encode_kind(operation.kind))
      .bind(encode_phase(operation.phase))
      .bind(operation.generation)
      .bind(operation.rollout)
      .bind(operation.revision)
      .bind(operation.reason)
      .bind(operation.error_message)
      .bind(failure)
      .bind(std::int64_t{operation.ready_workers})
      .bind(std::int64_t{operation.wanted_workers})
      .bind(std::int64_t{operation.draining_workers})
      .bind(encode_time(operation.create_time))
      .bind(end_time)
      .bind(cut)
      .run();
}

Result<void> write_request(Database& database, const Change::Request& request,
                           model::WallTime now) {
  Statement statement = TRY(
      Statement::prepare(database,
                         "INSERT OR REPLACE INTO requests (id, fingerprint, app, operation, time)"
                         " VALUES (?,?,?,?,?)"));
  return statement.bind(request.id)
      .bind(request.replay.fingerprint)
      .bind(request.replay.app)
      .bind(request.replay.operation)
      .bind(encode_time(now))
      .run();
}

Result<void> write_audit(Database& database, const std::string& text, model::WallTime now) {
  Statement statement =
      TRY(Statement::prepare(database, "INSERT INTO audit (time, text) VALUES (?,?)"));
  return statement.bind(encode_time(now)).bind(text).run();
}

Result<void> remove_app(Database& database, const std::string& id) {
  Statement statement = TRY(Statement::prepare(database, "DELETE FROM apps WHERE id = ?"));
  TRY(statement.bind(id).run());
  return remove_revisions(database, id);
}

Result<void> prune(Database& database, const std::set<std::string>& apps) {
  for (const std::string& app : apps) {
    Statement old = TRY(Statement::prepare(
        database,
        "DELETE FROM operations WHERE app = ?1 AND end_time IS NOT NULL AND sequence <="
        " (SELECT sequence FROM operations WHERE app = ?1 AND end_time IS NOT NULL"
        "  ORDER BY sequence DESC LIMIT 1 OFFSET ?2)"));
    TRY(old.bind(app).bind(kKeepOperations).run());
  }
  Statement audit = TRY(Statement::prepare(
      database, "DELETE FROM audit WHERE id <= (SELECT max(id) FROM audit) - ?"));
  return audit.bind(kKeepAudit).run();
}

Result<void> forget_old(Database& database, model::WallTime now) {
  Statement requests = TRY(Statement::prepare(database, "DELETE FROM requests WHERE time < ?"));
  TRY(requests.bind(before(now, kKeepRequests)).run());
  Statement orphans = TRY(Statement::prepare(
      database, "DELETE FROM operations WHERE end_time < ? AND app NOT IN (SELECT id FROM apps)"));
  return orphans.bind(before(now, kKeepOperationsOfRemovedApps)).run();
}

}  // namespace

struct Store::Impl {
  Result<void> commit(std::span<const Change> changes, model::WallTime now);
  Result<void> restore_attached(const std::vector<Change>& changes, model::WallTime now);
  Result<void> finish(Transaction& transaction, const std::set<std::string>& touched,
                      model::WallTime now);
  Result<void> settle();

  Database database;
  std::optional<model::WallTime> forgot;  // what is too old, last
  // What the log holds may be no more than it should, or may not have reached the disk.
  bool unsettled = true;
};

Store::Store(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Store::~Store() = default;

Result<std::unique_ptr<Store>> Store::open(const std::string& path) {
  auto impl = std::make_unique<Impl>(Impl{TRY(open_file(path)), std::nullopt});
  // On a full disk it comes to nothing, but all can be read, and the next change asks again.
  (void)impl->settle();
  return std::unique_ptr<Store>(new Store(std::move(impl)));
}

namespace {

Result<void> copy_database(const std::string& from, const std::string& to) {
  Database database = TRY(Database::open(from));
  sqlite3_busy_timeout(database.handle(), 2000);
  Statement statement = TRY(Statement::prepare(database, "VACUUM INTO ?"));
  return statement.bind(to).run();
}

Result<void> read_all(const std::string& path) {
  auto store = TRY(Store::open(path));
  TRY(store->apps());
  TRY(store->operations());
  TRY(store->deaths(std::nullopt));
  TRY(store->tokens());
  return {};
}

}  // namespace

Result<void> Store::rehearse(const std::string& path) {
  if (::access(path.c_str(), F_OK) != 0 && errno == ENOENT) return {};  // it will be made
  const std::string copy = path + ".check-" + std::to_string(::getpid());
  remove_file(copy);
  auto done = copy_database(path, copy);
  if (done) done = read_all(copy);
  remove_file(copy);
  if (done) return {};
  return told_of(path, copy, std::move(done).error());
}

Result<std::vector<model::AppRecord>> Store::apps() {
  Statement rows = TRY(Statement::prepare(
      impl_->database,
      "SELECT id, uid, spec, generation, version, rollout, revision, deleting, last_good_spec,"
      " operation, create_time, update_time, run_once_rollout, failed_rollout, good_rollout"
      " FROM apps ORDER BY id"));
  std::vector<model::AppRecord> apps;
  while (TRY(rows.step())) {
    auto app = read_app(rows);
    if (!app) {
      return std::move(app).error().context(impl_->database.path() + ": apps row \"" +
                                            rows.text(0) + "\"");
    }
    apps.push_back(*std::move(app));
  }
  return apps;
}

Result<std::vector<model::Operation>> Store::operations() {
  Statement rows = TRY(Statement::prepare(
      impl_->database,
      "SELECT id, app, kind, phase, generation, rollout, revision, reason, error_message, failure,"
      " ready_workers, wanted_workers, draining_workers, create_time, end_time, cut"
      " FROM operations ORDER BY sequence DESC"));
  std::vector<model::Operation> operations;
  while (TRY(rows.step())) {
    auto operation = read_operation(rows);
    if (!operation) {
      return std::move(operation).error().context(impl_->database.path() + ": operations row \"" +
                                                  rows.text(0) + "\"");
    }
    operations.push_back(*std::move(operation));
  }
  return operations;
}

Result<std::vector<model::Revision>> Store::revisions(std::string_view app) {
  return read_revisions(impl_->database, app);
}

Result<std::vector<model::Death>> Store::deaths(const std::optional<std::string>& app) {
  return read_deaths(impl_->database, app, false);
}

Result<std::vector<model::Death>> Store::last_deaths() {
  return read_deaths(impl_->database, std::nullopt, true);
}

Result<std::vector<model::Token>> Store::tokens() { return read_tokens(impl_->database); }

Result<std::optional<Replay>> Store::find_request(std::string_view request_id) {
  Statement row = TRY(Statement::prepare(
      impl_->database, "SELECT fingerprint, app, operation FROM requests WHERE id = ?"));
  if (!TRY(row.bind(request_id).step())) return std::optional<Replay>();
  return std::optional<Replay>(Replay{row.text(0), row.text(1), row.text(2)});
}

namespace {

// Within a transaction; notes whose operations may have become too many.
Result<void> apply(Database& database, const Change& change, model::WallTime now,
                   std::set<std::string>& touched) {
  if (change.remove_app) {
    TRY(remove_app(database, *change.remove_app));
    TRY(remove_deaths(database, *change.remove_app));
  }
  TRY(write_deaths(database, change.deaths));
  if (change.put_app) TRY(write_app(database, *change.put_app));
  if (change.put_revision) TRY(write_revision(database, *change.put_revision));
  for (const model::Operation& operation : change.more_operations) {
    TRY(write_operation(database, operation));
    TRY(note_outcome(database, operation));
    touched.insert(operation.app);
  }
  if (change.put_operation) {
    TRY(write_operation(database, *change.put_operation));
    touched.insert(change.put_operation->app);
  }
  if (change.put_token) TRY(write_token(database, *change.put_token));
  if (change.remove_token) TRY(remove_token(database, *change.remove_token));
  if (change.request) TRY(write_request(database, *change.request, now));
  if (!change.audit.empty()) TRY(write_audit(database, change.audit, now));
  return {};
}

// Its revisions and certificates, from the attached file, which has come through the same
// migrations and so has the same columns. What was at work when the backup was made has come to no
// end that is known.
Result<void> bring_history(Database& database, const std::string& app, model::WallTime now) {
  for (const char* sql : {"INSERT INTO main.revisions SELECT * FROM backup.revisions WHERE app = ?",
                          "INSERT INTO main.deaths SELECT * FROM backup.deaths WHERE app = ?"}) {
    Statement statement = TRY(Statement::prepare(database, sql));
    TRY(statement.bind(app).run());
  }
  Statement ended = TRY(
      Statement::prepare(database,
                         "UPDATE main.revisions SET outcome = ?, error_message = ?, end_time = ?"
                         " WHERE app = ? AND operation <> '' AND end_time IS NULL"));
  return ended.bind(encode_phase(model::OperationPhase::Superseded))
      .bind(std::string_view("superseded by a restore: the backup was made before it had ended"))
      .bind(encode_time(now))
      .bind(app)
      .run();
}

}  // namespace

Result<void> Store::Impl::finish(Transaction& transaction, const std::set<std::string>& touched,
                                 model::WallTime now) {
  TRY(prune(database, touched));
  const bool due = !forgot || now < *forgot || now - *forgot >= kForgetEvery;
  if (due) TRY(forget_old(database, now));
  Result<void> committed;
  if (const int error = failpoint("store.commit"); error != 0) {
    committed = sys_error("STORE_FAILED", database.path() + ": commit", error);
  } else {
    committed = transaction.commit();
  }
  if (!committed) {
    unsettled = true;
    return committed;
  }
  if (due) forgot = now;
  failpoint("store.committed");
  return {};
}

// https://sqlite.org/wal.html: a commit is a frame of the log that says so. One whose write or sync
// has failed is rolled back: this connection ignores what is behind the last commit that it knows
// of, and writes over it. But if the frame has come into the log nevertheless, whoever opens the
// file next reads it there, and what was refused is back. So what counts is taken over into the
// file, which is synced, and the log is cut off; before the next change, which also shows that the
// disk is well. While a foreign process reads the file that cannot be had, and nobody waits for it.
Result<void> Store::Impl::settle() {
  if (!unsettled) return {};
  sqlite3_busy_timeout(database.handle(), 0);
  const auto busy = database.number("PRAGMA wal_checkpoint(TRUNCATE)");
  sqlite3_busy_timeout(database.handle(), kBusyTimeout);
  if (!busy) return busy.error();
  unsettled = *busy != 0;
  return {};
}

Result<void> Store::Impl::commit(std::span<const Change> changes, model::WallTime now) {
  TRY(settle());
  Transaction transaction = TRY(Transaction::begin(database));
  std::set<std::string> touched;
  for (const Change& change : changes) TRY(apply(database, change, now, touched));
  return finish(transaction, touched, now);
}

Result<void> Store::Impl::restore_attached(const std::vector<Change>& changes,
                                           model::WallTime now) {
  Transaction transaction = TRY(Transaction::begin(database));
  std::set<std::string> touched;
  for (const Change& change : changes) {
    TRY(bring_history(database, change.put_app->id, now));
    TRY(apply(database, change, now, touched));
  }
  return finish(transaction, touched, now);
}

Result<void> Store::commit_all(std::span<const Change> changes, model::WallTime now) {
  return impl_->commit(changes, now);
}

bool Store::settled() {
  (void)impl_->settle();
  return !impl_->unsettled;
}

Result<void> Store::restore(const std::string& from, const std::vector<Change>& changes,
                            model::WallTime now) {
  Database& database = impl_->database;
  TRY(impl_->settle());
  {
    Statement attach = TRY(Statement::prepare(database, "ATTACH ? AS backup"));
    TRY(attach.bind(from).run());
  }
  Result<void> restored = impl_->restore_attached(changes, now);
  const Result<void> detached = database.run("DETACH backup");
  if (restored && !detached) return detached.error();
  return restored;
}

Result<std::int64_t> Store::backup(const std::string& path) {
  return write_backup(impl_->database, path);
}

std::int32_t Store::schema_version() const { return newest_schema(); }
std::int32_t Store::newest_schema() { return current_schema_version(); }

}  // namespace appd::store
