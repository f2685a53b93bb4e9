// What was written to a log last.
#include "supervisor/runtime/output.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "common/unique_fd.h"
#include "supervisor/core/log_lines.h"

namespace appd::runtime {
namespace {

// The lines as the app wrote them.
std::string without_prefixes(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, std::min(text.find('\n'), text.size() - 1) + 1);
    out += line.substr(core::app_line(line).prefix);
    text.remove_prefix(line.size());
  }
  return out;
}

}  // namespace

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
  text = without_prefixes(text);
  for (char& c : text) {
    auto byte = static_cast<unsigned char>(c);
    if ((byte < 0x20 && c != '\n' && c != '\t') || byte >= 0x7f) c = '?';
  }
  return text;
}

}  // namespace appd::runtime
