// SQLite's online backup one way, a checked copy and ATTACH the other.
#include "supervisor/store/backup.h"

#include <fcntl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "common/unique_fd.h"
#include "supervisor/store/file.h"
#include "supervisor/store/migrations.h"

namespace appd::store {
namespace {

Error unusable(std::string message) {
  return {ErrorCode::FailedPrecondition, "BACKUP_UNUSABLE", std::move(message), 0};
}

// Looks at the head of the file before anything is copied: what was named by mistake may be large.
Result<void> check_head(int file, const std::string& path) {
  constexpr std::string_view kMagic("SQLite format 3\0", 16);
  constexpr std::size_t kApplicationIdAt = 68;  // https://sqlite.org/fileformat.html §1.3
  std::array<unsigned char, 100> head{};
  const ssize_t count = ::pread(file, head.data(), head.size(), 0);
  if (count < 0) return unusable(sys_error("", path + ": read", errno).message);
  std::int64_t application = 0;
  for (std::size_t i = 0; i < 4; ++i) application = application << 8 | head[kApplicationIdAt + i];
  if (std::memcmp(head.data(), kMagic.data(), kMagic.size()) != 0 ||
      application != kApplicationId) {
    return unusable(path + " is no backup of appd's state");
  }
  // Without what is in its log, the file is not what its appd wrote last.
  if (::access((path + "-wal").c_str(), F_OK) == 0) {
    return unusable(path + " is the state of an appd, not a backup of it: its log " + path +
                    "-wal is beside it");
  }
  return {};
}

Result<void> copy_file(const std::string& from, const std::string& to) {
  const UniqueFd source(::open(from.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat status {};
  if (!source || ::fstat(source.get(), &status) < 0) {
    return unusable(sys_error("", from + ": open", errno).message);
  }
  if (!S_ISREG(status.st_mode)) return unusable(from + " is not a regular file");
  TRY(check_head(source.get(), from));
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

// The apps that were not on their way out. What will be brought back with them must be legible too.
Result<std::vector<model::AppRecord>> read_all(const std::string& path) {
  auto store = TRY(Store::open(path));
  std::vector<model::AppRecord> apps = TRY(store->apps());
  std::erase_if(apps, [](const model::AppRecord& app) { return app.deleting; });
  for (const model::AppRecord& app : apps) TRY(store->revisions(app.id));
  TRY(store->deaths(std::nullopt));
  return apps;
}

}  // namespace

Result<std::unique_ptr<BackupCopy>> BackupCopy::open(const std::string& backup,
                                                     const std::string& copy) {
  std::error_code none_there;
  if (std::filesystem::equivalent(backup, copy, none_there)) {
    return unusable(backup + " is where a restore makes its own copy: give it another name");
  }
  remove_file(copy);
  std::unique_ptr<BackupCopy> out(new BackupCopy(copy));
  TRY(copy_file(backup, copy));
  auto apps = read_all(copy);
  if (!apps) {
    Error error = told_of(backup, copy, std::move(apps).error());
    if (error.code == ErrorCode::ResourceExhausted) return error;  // no fault of the backup's
    return unusable(std::move(error.message));
  }
  out->apps_ = *std::move(apps);
  return out;
}

BackupCopy::~BackupCopy() { remove_file(path_); }

}  // namespace appd::store
