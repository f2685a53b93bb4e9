// Rows of certificates.
#include "supervisor/store/deaths.h"

#include "supervisor/store/codec.h"

namespace appd::store {
namespace {

constexpr std::int64_t kKeepDeaths = 100;  // of each app

}  // namespace

Result<std::vector<model::Death>> read_deaths(Database& database,
                                              const std::optional<std::string>& app,
                                              bool newest_only) {
  const char* all = "SELECT app, id, certificate FROM deaths ORDER BY app, id DESC";
  const char* of_one = "SELECT app, id, certificate FROM deaths WHERE app = ? ORDER BY id DESC";
  const char* newest = "SELECT app, max(id), certificate FROM deaths GROUP BY app";
  Statement rows = TRY(Statement::prepare(database, app ? of_one : newest_only ? newest : all));
  if (app) rows.bind(*app);
  std::vector<model::Death> deaths;
  while (TRY(rows.step())) {
    auto death = decode_death(rows.text(2));
    if (!death) {
      return std::move(death).error().context(database.path() + ": deaths row " + rows.text(0) +
                                              "/" + std::to_string(rows.number(1)));
    }
    deaths.push_back(*std::move(death));
  }
  return deaths;
}

Result<void> write_deaths(Database& database, const std::vector<model::Death>& deaths) {
  for (const model::Death& death : deaths) {
    Statement add = TRY(Statement::prepare(
        database, "INSERT OR REPLACE INTO deaths (app, id, certificate) VALUES (?,?,?)"));
    const std::string certificate = TRY(encode_death(death));
    TRY(add.bind(death.app).bind(death.id).bind(certificate).run());
    Statement prune =
        TRY(Statement::prepare(database, "DELETE FROM deaths WHERE app = ? AND id <= ?"));
    TRY(prune.bind(death.app).bind(death.id - kKeepDeaths).run());
  }
  return {};
}

Result<void> remove_deaths(Database& database, const std::string& app) {
  Statement statement = TRY(Statement::prepare(database, "DELETE FROM deaths WHERE app = ?"));
  return statement.bind(app).run();
}

}  // namespace appd::store
