// O_TMPFILE where the file system has it, else a file that is unlinked at once.
#include "worker/net/spool_file.h"

#include <fcntl.h>

#include <cerrno>
#include <cstdlib>
#include <string>

namespace appd::net {

Result<SpoolFile> SpoolFile::create() {
  const char* configured = std::getenv("TMPDIR");
  std::string directory = configured != nullptr && *configured != '\0' ? configured : "/tmp";
  UniqueFd fd(::open(directory.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  if (!fd) {
    std::string path = directory + "/appd-spool-XXXXXX";
    fd.reset(::mkostemp(path.data(), O_CLOEXEC));
    if (!fd) return sys_error("SPOOL_CREATE", "create a temporary file in " + directory, errno);
    ::unlink(path.c_str());
  }
  return SpoolFile(std::move(fd));
}

Result<void> SpoolFile::append(std::string_view bytes) {
  while (!bytes.empty()) {
    ssize_t written = ::pwrite(fd_.get(), bytes.data(), bytes.size(), static_cast<off_t>(size_));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return sys_error("SPOOL_WRITE", "write a temporary file", errno);
    size_ += static_cast<std::uint64_t>(written);
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

Result<std::size_t> SpoolFile::read(std::uint64_t offset, char* to, std::size_t size) const {
  for (;;) {
    ssize_t got = ::pread(fd_.get(), to, size, static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return sys_error("SPOOL_READ", "read a temporary file", errno);
    return static_cast<std::size_t>(got);
  }
}

UniqueFd SpoolFile::release() {
  size_ = 0;
  return std::move(fd_);
}

}  // namespace appd::net
