// The log files of apps.
#include "supervisor/runtime/output.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

namespace appd::runtime {

Result<UniqueFd> open_log(const std::string& path) {
  UniqueFd file(::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640));
  if (!file) return sys_error("LOG_OPEN", "open " + path, errno);
  return file;
}

std::int64_t log_size(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 ? status.st_size : 0;
}

std::string log_tail(const std::string& path, std::int64_t from) {
  constexpr std::int64_t kMost = 4096;
  UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return {};
  std::int64_t size = log_size(path);
  std::int64_t begin = std::max(from, size - kMost);
  if (begin >= size) return {};
  std::string text(static_cast<std::size_t>(size - begin), '\0');
  ssize_t count = ::pread(file.get(), text.data(), text.size(), begin);
  text.resize(count > 0 ? static_cast<std::size_t>(count) : 0);
  for (char& c : text) {
    auto byte = static_cast<unsigned char>(c);
    if ((byte < 0x20 && c != '\n' && c != '\t') || byte >= 0x7f) c = '?';
  }
  return text;
}

}  // namespace appd::runtime
