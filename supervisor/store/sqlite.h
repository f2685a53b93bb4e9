// SQLite's C interface with owners and Results: Database, Statement, Transaction.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "common/result.h"

namespace appd::store {

// Every failure of the store has this reason.
Error store_error(ErrorCode code, std::string message);

// One connection, and what was compiled for it: to compile a statement takes longer than to run it.
// Owns both; one thread. Statements must not outlive it, nor its being moved.
class Database {
 public:
  // `path` must exist: the caller made it with the right mode.
  static Result<Database> open(const std::string& path);

  // One or several statements whose rows, if any, do not matter.
  Result<void> run(const char* sql);
  // The first column of the first row.
  Result<std::int64_t> number(const char* sql);
  Result<std::string> text(const char* sql);

  sqlite3* handle() const { return handle_.get(); }
  const std::string& path() const { return path_; }
  // What the last call on this connection failed with, as an Error that names file and deed.
  Error failure(std::string_view doing) const;

 private:
  friend class Statement;
  struct Close {
    void operator()(sqlite3* handle) const { sqlite3_close_v2(handle); }
  };
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
  };
  Database(std::unique_ptr<sqlite3, Close> handle, std::string path)
      : handle_(std::move(handle)), path_(std::move(path)) {}
  void give_back(sqlite3_stmt* statement);
  std::unique_ptr<sqlite3, Close> handle_;
  std::string path_;
  // By their text; empty while in use.
  std::map<std::string, std::unique_ptr<sqlite3_stmt, Finalize>, std::less<>> compiled_;
};

// One prepared statement: bind in order, then step(). Borrows its database.
class Statement {
 public:
  // Kept compiled for the next one with the same text.
  static Result<Statement> prepare(Database& database, std::string_view sql);
  // Compiled anew: some PRAGMAs do their work when they are compiled.
  static Result<Statement> once(Database& database, std::string_view sql);

  // Each binds the next parameter. A failure shows up in step(). Text is copied.
  Statement& bind(std::string_view value);
  Statement& bind(const std::string& value) { return bind(std::string_view(value)); }
  Statement& bind(std::int64_t value);
  Statement& bind(const std::optional<std::int64_t>& value);
  Statement& bind(const std::optional<std::string>& value);

  // Whether there is a row.
  Result<bool> step();
  // For statements that have no rows.
  Result<void> run();

  // Columns of the present row; valid types are the schema's business (STRICT tables).
  std::int64_t number(int column) const;
  std::string text(int column) const;
  std::optional<std::int64_t> optional_number(int column) const;
  std::optional<std::string> optional_text(int column) const;

 private:
  struct GiveBack {
    Database* database;  // null: nobody wants it
    void operator()(sqlite3_stmt* statement) const;
  };
  Statement(Database& database, sqlite3_stmt* statement, bool keep)
      : database_(&database), statement_(statement, GiveBack{keep ? &database : nullptr}) {}
  static Result<Statement> compile(Database& database, std::string_view sql, bool keep);
  void note(int result);

  Database* database_;
  std::unique_ptr<sqlite3_stmt, GiveBack> statement_;
  int next_parameter_ = 1;
  int bind_result_ = SQLITE_OK;
};

// A write transaction. Rolls back unless commit() has succeeded. Borrows its database.
class Transaction {
 public:
  static Result<Transaction> begin(Database& database);
  Transaction(Transaction&& other) noexcept : database_(std::exchange(other.database_, nullptr)) {}
  Transaction& operator=(Transaction&&) = delete;
  ~Transaction();

  Result<void> commit();

 private:
  explicit Transaction(Database& database) : database_(&database) {}
  Database* database_;
};

}  // namespace appd::store
