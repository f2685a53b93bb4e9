// Into a file beside the wanted one, which takes its name when it is complete.
#include "supervisor/store/backup_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "common/unique_fd.h"
#include "supervisor/store/file.h"

namespace appd::store {
namespace {

Error failed(Error error) {
  const bool full = error.sys_errno == ENOSPC || error.code == ErrorCode::ResourceExhausted;
  return {full ? ErrorCode::ResourceExhausted : ErrorCode::FailedPrecondition, "BACKUP_FAILED",
          std::move(error.message), error.sys_errno};
}

Result<void> copy_pages(Database& from, const std::string& to) {
  Database target = TRY(Database::open(to));
  sqlite3_backup* copy = sqlite3_backup_init(target.handle(), "main", from.handle(), "main");
  if (copy == nullptr) return target.failure("begin the backup");
  sqlite3_backup_step(copy, -1);  // all of it: nothing else writes meanwhile
  if (sqlite3_backup_finish(copy) != SQLITE_OK) return target.failure("write the backup");
  // One file, wherever it is taken.
  if (TRY(target.text("PRAGMA journal_mode = DELETE")) != "delete") {
    return target.failure("end the backup's log");
  }
  return {};
}

Result<std::int64_t> finish(const std::string& fresh, const std::string& path) {
  const UniqueFd file(::open(fresh.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat status {};
  if (!file || ::fstat(file.get(), &status) < 0 || ::fsync(file.get()) < 0) {
    return sys_error("", path + ": write", errno);
  }
  // link(2) replaces nothing.
  if (::link(fresh.c_str(), path.c_str()) < 0) return sys_error("", path + ": create", errno);
  return static_cast<std::int64_t>(status.st_size);
}

}  // namespace

Result<std::int64_t> write_backup(Database& database, const std::string& path) {
  std::string fresh = path + ".XXXXXX";
  {
    const UniqueFd file(::mkostemp(fresh.data(), O_CLOEXEC));  // mode 0600
    if (!file) return failed(sys_error("", path + ": create", errno));
  }
  Result<void> copied = copy_pages(database, fresh);
  Result<std::int64_t> size =
      copied ? finish(fresh, path) : Result<std::int64_t>(std::move(copied).error());
  remove_file(fresh);
  if (!size) return failed(std::move(size).error());
  return size;
}

}  // namespace appd::store
