// SQLite's result codes become Errors here and nowhere else.
#include "supervisor/store/sqlite.h"

#include <cerrno>

namespace appd::store {

Error store_error(ErrorCode code, std::string message) {
  return Error{code, "STORE_FAILED", std::move(message)};
}

Result<Database> Database::open(const std::string& path) {
  sqlite3* raw = nullptr;
  const int result = sqlite3_open_v2(path.c_str(), &raw, SQLITE_OPEN_READWRITE, nullptr);
  Database database(std::unique_ptr<sqlite3, Close>(raw), path);
  if (raw == nullptr) return store_error(ErrorCode::ResourceExhausted, path + ": out of memory");
  if (result != SQLITE_OK) return database.failure("open");
  sqlite3_extended_result_codes(raw, 1);
  return database;
}

Error Database::failure(std::string_view doing) const {
  const int result = sqlite3_errcode(handle());
  const int sys_errno = sqlite3_system_errno(handle());
  // A full disk is SQLITE_FULL, or an I/O error whose errno says so.
  const bool full =
      (result & 0xff) == SQLITE_FULL ||
      ((result & 0xff) == SQLITE_IOERR && (sys_errno == ENOSPC || sys_errno == EDQUOT));
  Error error = store_error(full ? ErrorCode::ResourceExhausted : ErrorCode::Internal,
                            path_ + ": " + std::string(doing) + ": " + sqlite3_errmsg(handle()));
  if ((result & 0xff) == SQLITE_IOERR || (result & 0xff) == SQLITE_CANTOPEN) {
    error.sys_errno = sys_errno;
  }
  if (full) error.message += ": free some space on its disk";
  return error;
}

Result<void> Database::run(const char* sql) {
  if (sqlite3_exec(handle(), sql, nullptr, nullptr, nullptr) != SQLITE_OK) return failure(sql);
  return {};
}

Result<std::int64_t> Database::number(const char* sql) {
  Statement statement = TRY(Statement::once(*this, sql));
  if (!TRY(statement.step())) {
    return store_error(ErrorCode::Internal, path_ + ": " + sql + ": no answer");
  }
  return statement.number(0);
}

Result<std::string> Database::text(const char* sql) {
  Statement statement = TRY(Statement::once(*this, sql));
  if (!TRY(statement.step())) {
    return store_error(ErrorCode::Internal, path_ + ": " + sql + ": no answer");
  }
  return statement.text(0);
}

void Database::give_back(sqlite3_stmt* statement) {
  // What it failed with has been told.
  sqlite3_reset(statement);
  sqlite3_clear_bindings(statement);
  auto place = compiled_.find(std::string_view(sqlite3_sql(statement)));
  if (place == compiled_.end()) place = compiled_.emplace(sqlite3_sql(statement), nullptr).first;
  place->second.reset(statement);
}

void Statement::GiveBack::operator()(sqlite3_stmt* statement) const {
  if (database != nullptr) {
    database->give_back(statement);
  } else {
    sqlite3_finalize(statement);
  }
}

Result<Statement> Statement::compile(Database& database, std::string_view sql, bool keep) {
  sqlite3_stmt* statement = nullptr;
  if (sqlite3_prepare_v3(database.handle(), sql.data(), static_cast<int>(sql.size()),
                         keep ? SQLITE_PREPARE_PERSISTENT : 0, &statement, nullptr) != SQLITE_OK) {
    return database.failure(sql);
  }
  return Statement(database, statement, keep);
}

Result<Statement> Statement::prepare(Database& database, std::string_view sql) {
  const auto known = database.compiled_.find(sql);
  if (known != database.compiled_.end() && known->second != nullptr) {
    return Statement(database, known->second.release(), true);
  }
  return compile(database, sql, true);
}

Result<Statement> Statement::once(Database& database, std::string_view sql) {
  return compile(database, sql, false);
}

void Statement::note(int result) {
  ++next_parameter_;
  if (bind_result_ == SQLITE_OK) bind_result_ = result;
}

Statement& Statement::bind(std::string_view value) {
  // An empty view may have a null pointer, which would bind NULL.
  const char* data = value.empty() ? "" : value.data();
  note(sqlite3_bind_text64(statement_.get(), next_parameter_, data, value.size(), SQLITE_TRANSIENT,
                           SQLITE_UTF8));
  return *this;
}

Statement& Statement::bind(std::int64_t value) {
  note(sqlite3_bind_int64(statement_.get(), next_parameter_, value));
  return *this;
}

Statement& Statement::bind(const std::optional<std::int64_t>& value) {
  if (value) return bind(*value);
  note(sqlite3_bind_null(statement_.get(), next_parameter_));
  return *this;
}

Statement& Statement::bind(const std::optional<std::string>& value) {
  if (value) return bind(std::string_view(*value));
  note(sqlite3_bind_null(statement_.get(), next_parameter_));
  return *this;
}

Result<bool> Statement::step() {
  const char* sql = sqlite3_sql(statement_.get());
  if (bind_result_ != SQLITE_OK) return database_->failure(std::string("bind: ") + sql);
  switch (sqlite3_step(statement_.get())) {
    case SQLITE_ROW:
      return true;
    case SQLITE_DONE:
      return false;
    default:
      return database_->failure(sql);
  }
}

Result<void> Statement::run() {
  TRY(step());
  return {};
}

std::int64_t Statement::number(int column) const {
  return sqlite3_column_int64(statement_.get(), column);
}

std::string Statement::text(int column) const {
  // sqlite3_column_bytes belongs after sqlite3_column_text, which may convert.
  const unsigned char* data = sqlite3_column_text(statement_.get(), column);
  const int size = sqlite3_column_bytes(statement_.get(), column);
  if (data == nullptr) return {};
  return std::string(reinterpret_cast<const char*>(data), static_cast<std::size_t>(size));
}

std::optional<std::int64_t> Statement::optional_number(int column) const {
  if (sqlite3_column_type(statement_.get(), column) == SQLITE_NULL) return std::nullopt;
  return number(column);
}

std::optional<std::string> Statement::optional_text(int column) const {
  if (sqlite3_column_type(statement_.get(), column) == SQLITE_NULL) return std::nullopt;
  return text(column);
}

Result<Transaction> Transaction::begin(Database& database) {
  // IMMEDIATE takes the write lock now: nothing later in the transaction can find it taken.
  TRY(database.run("BEGIN IMMEDIATE"));
  return Transaction(database);
}

Transaction::~Transaction() {
  if (database_ == nullptr) return;
  // Some errors have rolled back already; then there is nothing left to undo. A ROLLBACK that fails
  // leaves SQLite to undo at the next access, so there is nobody to tell.
  if (sqlite3_get_autocommit(database_->handle()) == 0) {
    sqlite3_exec(database_->handle(), "ROLLBACK", nullptr, nullptr, nullptr);
  }
}

Result<void> Transaction::commit() {
  TRY(database_->run("COMMIT"));
  database_ = nullptr;
  return {};
}

}  // namespace appd::store
