// Opening the state file: made complete or not at all, closed to others, and checked before use.
#include "supervisor/store/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "common/unique_fd.h"
#include "supervisor/store/migrations.h"

namespace appd::store {
namespace {

Result<void> close_to_others(int fd, const std::string& path) {
  if (::fchmod(fd, 0600) != 0) return sys_error("STORE_FAILED", path + ": fchmod", errno);
  return {};
}

// An existing file must be ours before SQLite sees it. Closes it to others if it was open to them;
// -wal and -shm take over its mode when SQLite makes them.
Result<void> check_file(const std::string& path) {
  const UniqueFd file(::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!file) return sys_error("STORE_FAILED", path + ": open", errno);
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) return sys_error("STORE_FAILED", path + ": stat", errno);
  if (!S_ISREG(status.st_mode)) {
    return store_error(ErrorCode::FailedPrecondition, path + ": is not a regular file");
  }
  if (status.st_size == 0) {
    return store_error(ErrorCode::FailedPrecondition,
                       path +
                           ": is empty, as no state of appd ever is: restore it from a backup, "
                           "or remove it to begin anew");
  }
  return close_to_others(file.get(), path);
}

Result<void> sync_directory(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  const std::string directory = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const UniqueFd fd(::open(directory.c_str(), O_RDONLY | O_CLOEXEC | O_DIRECTORY));
  if (!fd || ::fsync(fd.get()) != 0) {
    return sys_error("STORE_FAILED", directory + ": fsync", errno);
  }
  return {};
}

// Makes a new file under another name and renames it when it is complete: an empty or half-made
// file under the real name is always damage.
Result<void> create_file(const std::string& path) {
  if (::access((path + "-wal").c_str(), F_OK) == 0) {
    return store_error(ErrorCode::FailedPrecondition,
                       path + ": is missing, but its log " + path +
                           "-wal is there: restore both from a backup, or remove the log to begin "
                           "anew");
  }
  const std::string fresh = path + ".new";
  for (const char* suffix : {"", "-journal"}) {
    if (::unlink((fresh + suffix).c_str()) != 0 && errno != ENOENT) {
      return sys_error("STORE_FAILED", fresh + suffix + ": remove", errno);
    }
  }
  {
    const UniqueFd file(::open(fresh.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (!file) return sys_error("STORE_FAILED", fresh + ": create", errno);
    TRY(close_to_others(file.get(), fresh));
  }
  {
    // With a rollback journal, SQLite's default, the file is complete when the commit is.
    Database database = TRY(Database::open(fresh));
    TRY(database.run("PRAGMA synchronous = FULL"));
    TRY(migrate(database, 0));
  }
  if (::rename(fresh.c_str(), path.c_str()) != 0) {
    return sys_error("STORE_FAILED", path + ": rename", errno);
  }
  return sync_directory(path);
}

// What it takes to trust an existing file.
Result<std::int64_t> check_contents(Database& database) {
  const std::string& path = database.path();
  const std::int64_t application = TRY(database.number("PRAGMA application_id"));
  if (application != kApplicationId) {
    return store_error(ErrorCode::FailedPrecondition,
                       path + ": is a database of another program (application_id " +
                           std::to_string(application) + "): give another --state-dir");
  }
  const std::int64_t version = TRY(database.number("PRAGMA user_version"));
  if (version < 1 || version > current_schema_version()) {
    return store_error(ErrorCode::FailedPrecondition,
                       path + ": has schema " + std::to_string(version) +
                           ", but this appd knows only schemas up to " +
                           std::to_string(current_schema_version()) +
                           ": start the appd that wrote it, or a newer one");
  }
  // The line before, if there is one, says which database it is.
  const auto last_line = [](const std::string& text) { return text.substr(text.rfind('\n') + 1); };
  const std::string damage = last_line(TRY(database.text("PRAGMA quick_check(1)")));
  if (damage != "ok") {
    return store_error(ErrorCode::Internal,
                       path + ": is damaged (" + damage + "): restore it from a backup");
  }
  return version;
}

}  // namespace

void remove_file(const std::string& path) {
  for (const char* suffix : {"", "-wal", "-shm", "-journal"}) ::unlink((path + suffix).c_str());
}

Error told_of(const std::string& path, const std::string& copy, Error error) {
  for (std::size_t at = error.message.find(copy); at != std::string::npos;
       at = error.message.find(copy, at + path.size())) {
    error.message.replace(at, copy.size(), path);
  }
  return error;
}

Result<Database> open_file(const std::string& path) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) {
    if (errno != ENOENT) return sys_error("STORE_FAILED", path + ": stat", errno);
    TRY(create_file(path));
  }
  TRY(check_file(path));
  Database database = TRY(Database::open(path));
  sqlite3_busy_timeout(database.handle(), kBusyTimeout);
  const std::int64_t version = TRY(check_contents(database));
  TRY(database.run("PRAGMA foreign_keys = ON"));
  TRY(database.run("PRAGMA synchronous = FULL"));
  if (TRY(database.text("PRAGMA journal_mode = WAL")) != "wal") {
    return store_error(ErrorCode::FailedPrecondition,
                       path +
                           ": its file system cannot hold a write-ahead log (no shared memory "
                           "maps): give a --state-dir on a local disk");
  }
  TRY(database.run("PRAGMA journal_size_limit = 4194304"));
  TRY(migrate(database, version));
  return database;
}

}  // namespace appd::store
