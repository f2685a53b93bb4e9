// Whole files in, whole files out.
#include "ctl/files.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <memory>

#include "common/unique_fd.h"

namespace appd::ctl {
namespace {

// appd takes 128 KiB of one variable at most and says so itself; this only keeps devices out.
constexpr std::size_t kLargestSecret = std::size_t{1} << 20;

Result<void> write_whole(int fd, const std::string& path, std::string_view content) {
  while (!content.empty()) {
    const ssize_t count = ::write(fd, content.data(), content.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return sys_error("WRITE_FAILED", "write " + path, errno);
    content.remove_prefix(static_cast<std::size_t>(count));
  }
  if (::fsync(fd) < 0) return sys_error("WRITE_FAILED", "write " + path, errno);
  return {};
}

}  // namespace

Result<std::string> read_all(std::FILE* stream, const std::string& name, std::size_t most) {
  std::string text;
  std::array<char, 65'536> chunk{};
  std::size_t count = 0;
  while ((count = std::fread(chunk.data(), 1, chunk.size(), stream)) > 0 && text.size() <= most) {
    text.append(chunk.data(), count);
  }
  if (std::ferror(stream) != 0) return sys_error("READ_FAILED", "cannot read " + name, errno);
  if (text.size() > most) {
    return Error{ErrorCode::InvalidArgument, "READ_FAILED",
                 name + " is larger than " + std::to_string(most >> 20) + " MiB", 0};
  }
  return text;
}

Result<std::string> read_file(const std::string& path, std::size_t most) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> stream(std::fopen(path.c_str(), "re"),
                                                               std::fclose);
  if (!stream) return sys_error("READ_FAILED", "cannot read " + path, errno);
  return read_all(stream.get(), path, most);
}

Result<std::string> read_secret(const std::string& path) {
  std::string value = TRY(read_file(path, kLargestSecret));
  if (value.ends_with('\n')) value.pop_back();
  if (value.ends_with('\r')) value.pop_back();
  if (value.empty()) {
    return Error{ErrorCode::InvalidArgument, "READ_FAILED", path + " is empty", 0};
  }
  return value;
}

Result<void> write_private(const std::string& path, std::string_view content) {
  std::string fresh = path + ".XXXXXX";
  const UniqueFd file(::mkostemp(fresh.data(), O_CLOEXEC));  // mode 0600
  if (!file) return sys_error("WRITE_FAILED", "cannot write " + path, errno);
  Result<void> written = write_whole(file.get(), path, content);
  if (written && ::rename(fresh.c_str(), path.c_str()) < 0) {
    written = sys_error("WRITE_FAILED", "cannot write " + path, errno);
  }
  if (!written) ::unlink(fresh.c_str());
  return written;
}

}  // namespace appd::ctl
