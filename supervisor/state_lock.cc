// Directories of appd and the lock in them.
#include "supervisor/state_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <filesystem>

namespace appd {

Result<void> make_directory(const std::string& path) {
  std::error_code failed;
  std::filesystem::path parent = std::filesystem::path(path).parent_path();
  if (!parent.empty()) std::filesystem::create_directories(parent, failed);
  if (failed) return sys_error("DIRECTORY", "create " + parent.string(), failed.value());
  if (::mkdir(path.c_str(), 0700) == 0) return {};
  if (errno != EEXIST) return sys_error("DIRECTORY", "create " + path, errno);
  struct stat status {};
  if (::stat(path.c_str(), &status) < 0) return sys_error("DIRECTORY", "look at " + path, errno);
  if (!S_ISDIR(status.st_mode)) return sys_error("DIRECTORY", path, ENOTDIR);
  if (status.st_uid != ::geteuid()) {
    return Error{ErrorCode::FailedPrecondition, "DIRECTORY",
                 path + " belongs to another user; give another directory", 0};
  }
  return {};
}

namespace {

bool same_file(int fd, const std::string& path) {
  struct stat here {};
  struct stat there {};
  return ::fstat(fd, &here) == 0 && ::stat(path.c_str(), &there) == 0 &&
         here.st_dev == there.st_dev && here.st_ino == there.st_ino;
}

}  // namespace

Result<StateLock> StateLock::acquire(const std::string& state_dir, const std::string& listen,
                                     UniqueFd held) {
  std::string path = state_dir + "/appd.lock";
  UniqueFd file = std::move(held);
  if (!file || !same_file(file.get(), path)) {
    file.reset(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  }
  if (!file) return sys_error("STATE_LOCK", "open " + path, errno);
  if (::flock(file.get(), LOCK_EX | LOCK_NB) < 0) {
    if (errno != EWOULDBLOCK) return sys_error("STATE_LOCK", "lock " + path, errno);
    std::array<char, 512> text{};
    ssize_t size = ::pread(file.get(), text.data(), text.size() - 1, 0);
    std::string holder = size > 0 ? std::string(text.data()) : "another appd";
    if (!holder.empty() && holder.back() == '\n') holder.pop_back();
    return Error{ErrorCode::FailedPrecondition, "STATE_LOCKED",
                 "the state directory " + state_dir + " is in use by " + holder, 0};
  }
  std::string holder =
      "appd with pid " + std::to_string(::getpid()) + ", listening on " + listen + "\n";
  if (::ftruncate(file.get(), 0) < 0 || ::pwrite(file.get(), holder.data(), holder.size(), 0) < 0) {
    return sys_error("STATE_LOCK", "write " + path, errno);
  }
  return StateLock(std::move(file));
}

}  // namespace appd
