// What was written to a log last.
#include "supervisor/runtime/output.h"

#include <fcntl.h>
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

// The last bytes of a file, at most `most` and none before `begin`.
std::string last_bytes(int file, std::int64_t size, std::int64_t begin, std::int64_t most) {
  begin = std::max(begin, size - most);
  if (begin >= size) return {};
  std::string text(static_cast<std::size_t>(size - begin), '\0');
  ssize_t count = ::pread(file, text.data(), text.size(), begin);
  text.resize(count > 0 ? static_cast<std::size_t>(count) : 0);
  return text;
}

}  // namespace

LogMark log_mark(int descriptor) {
  const auto found = stat_log(descriptor);
  return found ? LogMark{found->identity, found->size} : LogMark{};
}

std::string log_tail(const std::string& path, const LogMark& from) {
  constexpr std::int64_t kMost = 4096;
  // In the middle of a rotation one is not there, and one that has just been begun is short.
  constexpr std::int32_t kMostFiles = 3;
  std::string text;
  if (path.empty()) return text;
  for (std::int32_t number = 0; number < kMostFiles; ++number) {
    const UniqueFd file(::open(rotated_name(path, number).c_str(), O_RDONLY | O_CLOEXEC));
    const auto found = file ? stat_log(file.get()) : std::nullopt;
    if (!found) continue;
    const bool marked = found->identity == from.file;
    text.insert(0, last_bytes(file.get(), found->size, marked ? from.size : 0,
                              kMost - static_cast<std::int64_t>(text.size())));
    if (marked || text.size() >= kMost) break;
  }
  text = without_prefixes(text);
  for (char& c : text) {
    auto byte = static_cast<unsigned char>(c);
    if ((byte < 0x20 && c != '\n' && c != '\t') || byte >= 0x7f) c = '?';
  }
  return text;
}

}  // namespace appd::runtime
