// Revisions in SQL.
#include "supervisor/store/revision_rows.h"

#include "supervisor/store/codec.h"

namespace appd::store {
namespace {

constexpr std::int64_t kKeep = 100;  // of each app

std::optional<std::int64_t> encode_time(const std::optional<model::WallTime>& time) {
  if (!time) return std::nullopt;
  return store::encode_time(*time);
}

std::optional<std::string> encode_cause(const std::optional<model::FailureCause>& cause) {
  if (!cause) return std::nullopt;
  return std::string(store::encode_cause(*cause));
}

// Beyond the newest ones stay two: what can be rolled back to must outlive any number of reloads,
// and of changes that failed. `good` says what Revision::good() says, and is read from its newest
// end only: to take specs apart is slow.
Result<void> prune(Database& database, std::string_view app) {
  Statement statement = TRY(Statement::prepare(
      database,
      "WITH good AS NOT MATERIALIZED (SELECT number, json_remove(spec, '$.run_mode') AS wish FROM "
      "revisions"
      "  WHERE app = ?1 AND outcome = 'succeeded' AND method <> ''"
      "  AND json_extract(spec, '$.run_mode') = 'running'),"
      " last AS (SELECT number, wish FROM good ORDER BY number DESC LIMIT 1)"
      " DELETE FROM revisions WHERE app = ?1"
      " AND number <= (SELECT max(number) FROM revisions WHERE app = ?1) - ?2"
      " AND number IS NOT (SELECT number FROM last)"
      " AND number IS NOT (SELECT number FROM good WHERE wish <> (SELECT wish FROM last)"
      "  ORDER BY number DESC LIMIT 1)"));
  return statement.bind(app).bind(kKeep).run();
}

Result<model::Revision> read_revision(const Statement& row) {
  model::Revision revision;
  revision.app = row.text(0);
  revision.number = row.number(1);
  revision.generation = row.number(2);
  revision.rollout = row.number(3);
  auto spec = decode_spec(row.text(4));
  if (!spec) return std::move(spec).error().context("spec");
  revision.spec = *std::move(spec);
  revision.time = decode_time(row.number(5));
  revision.caller = {row.optional_number(6),
                     static_cast<std::int32_t>(row.number(7)),
                     row.text(8),
                     row.text(9),
                     "",
                     ""};
  revision.method = row.text(10);
  revision.reason = row.text(11);
  revision.operation = row.text(12);
  revision.outcome = TRY(decode_phase(row.text(13)));
  revision.error_message = row.text(14);
  if (const auto cause = row.optional_text(15)) revision.cause = TRY(decode_cause(*cause));
  if (const auto time = row.optional_number(16)) revision.end_time = decode_time(*time);
  revision.restores = row.number(17);
  revision.caller.identity = row.text(18);
  revision.caller.address = row.text(19);
  return revision;
}

}  // namespace

Result<void> write_revision(Database& database, const model::Revision& revision) {
  const std::string spec = TRY(encode_spec(revision.spec));
  Statement statement = TRY(Statement::prepare(
      database,
      "INSERT INTO revisions (app, number, generation, rollout, spec, time, uid, pid, user, client,"
      " method, reason, operation, outcome, error_message, cause, end_time, restores,"
      " identity, address) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"));
  TRY(statement.bind(revision.app)
          .bind(revision.number)
          .bind(revision.generation)
          .bind(revision.rollout)
          .bind(spec)
          .bind(store::encode_time(revision.time))
          .bind(revision.caller.uid)
          .bind(std::int64_t{revision.caller.pid})
          .bind(revision.caller.user)
          .bind(revision.caller.client)
          .bind(revision.method)
          .bind(revision.reason)
          .bind(revision.operation)
          .bind(encode_phase(revision.outcome))
          .bind(revision.error_message)
          .bind(encode_cause(revision.cause))
          .bind(encode_time(revision.end_time))
          .bind(revision.restores)
          .bind(revision.caller.identity)
          .bind(revision.caller.address)
          .run());
  return prune(database, revision.app);
}

Result<void> note_outcome(Database& database, const model::Operation& operation) {
  std::optional<model::FailureCause> cause;
  if (operation.failure) cause = operation.failure->cause;
  Statement statement = TRY(Statement::prepare(
      database,
      "UPDATE revisions SET outcome = ?, error_message = ?, cause = ?, end_time = ?"
      " WHERE operation = ? AND app = ?"));
  return statement.bind(encode_phase(operation.phase))
      .bind(operation.error_message)
      .bind(encode_cause(cause))
      .bind(encode_time(operation.end_time))
      .bind(operation.id)
      .bind(operation.app)
      .run();
}

Result<void> remove_revisions(Database& database, std::string_view app) {
  Statement statement = TRY(Statement::prepare(database, "DELETE FROM revisions WHERE app = ?"));
  return statement.bind(app).run();
}

Result<std::vector<model::Revision>> read_revisions(Database& database, std::string_view app) {
  Statement rows = TRY(Statement::prepare(
      database,
      "SELECT app, number, generation, rollout, spec, time, uid, pid, user, client, method, reason,"
      " operation, outcome, error_message, cause, end_time, restores, identity, address"
      " FROM revisions WHERE app = ? ORDER BY number DESC"));
  rows.bind(app);
  std::vector<model::Revision> revisions;
  while (TRY(rows.step())) {
    auto revision = read_revision(rows);
    if (!revision) {
      return std::move(revision).error().context(database.path() + ": revisions row \"" +
                                                 rows.text(0) + "\" " +
                                                 std::to_string(rows.number(1)));
    }
    revisions.push_back(*std::move(revision));
  }
  return revisions;
}

}  // namespace appd::store
