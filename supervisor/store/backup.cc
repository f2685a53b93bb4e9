// SQLite's online backup one way, a checked copy and ATTACH the other.
#include "supervisor/store/backup.h"

#include <fcntl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "common/unique_fd.h"
#include "supervisor/store/sqlite.h"

namespace appd::store {
namespace {

Error unusable(std::string message) {
  return {ErrorCode::FailedPrecondition, "BACKUP_UNUSABLE", std::move(message), 0};
}

void remove_all(const std::string& path) {
  for (const char* suffix : {"", "-wal", "-shm", "-journal"}) ::unlink((path + suffix).c_str());
}

Result<void> copy_file(const std::string& from, const std::string& to) {
  const UniqueFd source(::open(from.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat status {};
  if (!source || ::fstat(source.get(), &status) < 0) {
    return unusable(from + ": " + sys_error("", "open", errno).message);
  }
  if (!S_ISREG(status.st_mode)) return unusable(from + " is not a regular file");
  const UniqueFd target(::open(to.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!target) return sys_error("STORE_FAILED", to + ": create", errno);
  off_t left = status.st_size;
  while (left > 0) {
    const ssize_t count =
        ::sendfile(target.get(), source.get(), nullptr, static_cast<std::size_t>(left));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return sys_error("STORE_FAILED", to + ": copy", errno);
    if (count == 0) return unusable(from + " became shorter while it was read");
    left -= count;
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<BackupCopy>> BackupCopy::open(const std::string& backup,
                                                     const std::string& copy) {
  remove_all(copy);
  std::unique_ptr<BackupCopy> out(new BackupCopy(copy));
  TRY(copy_file(backup, copy));
  const auto told = [&](Error error) {
    // It is about the backup, not about a file that will be gone.
    for (std::size_t at = error.message.find(copy); at != std::string::npos;
         at = error.message.find(copy, at + backup.size())) {
      error.message.replace(at, copy.size(), backup);
    }
    return unusable(std::move(error.message));
  };
  auto store = Store::open(copy);
  if (!store) return told(std::move(store).error());
  auto apps = (*store)->apps();
  if (!apps) return told(std::move(apps).error());
  for (model::AppRecord& app : *apps) {
    if (!app.deleting) out->apps_.push_back(std::move(app));
  }
  return out;
}

BackupCopy::~BackupCopy() { remove_all(path_); }

}  // namespace appd::store
