// pread(2) through rotations.
#include "supervisor/runtime/log_files_reader.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <vector>

namespace appd::runtime {
namespace {

constexpr std::int32_t kMostFiles = 1001;
constexpr std::size_t kChunk = 256 * 1024;

}  // namespace

std::string LogPosition::text() const {
  return std::to_string(file.device) + "." + std::to_string(file.inode) + "." +
         std::to_string(offset);
}

std::optional<LogPosition> LogPosition::parse(std::string_view text) {
  std::array<std::uint64_t, 3> numbers{};
  const char* at = text.data();
  const char* end = text.data() + text.size();
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    if (i > 0 && (at == end || *at++ != '.')) return std::nullopt;
    const auto read = std::from_chars(at, end, numbers[i]);
    if (read.ec != std::errc()) return std::nullopt;
    at = read.ptr;
  }
  if (at != end || numbers[2] > INT64_MAX) return std::nullopt;
  return LogPosition{{numbers[0], numbers[1]}, static_cast<std::int64_t>(numbers[2])};
}

// A rotation renames the oldest first: at any instant one number is missing, and where there is one
// more behind it, that one is there.
std::optional<std::int32_t> find_log(const std::string& path, const FileIdentity& file) {
  std::int32_t missing = 0;
  for (std::int32_t number = 0; number < kMostFiles && missing < 2; ++number) {
    const auto found = stat_log(rotated_name(path, number));
    if (found && found->identity == file) return number;
    missing = found ? 0 : missing + 1;
  }
  return std::nullopt;
}

std::int32_t oldest_log(const std::string& path) {
  std::int32_t oldest = 0;
  for (std::int32_t number = 1; number < kMostFiles && number <= oldest + 2; ++number) {
    if (stat_log(rotated_name(path, number))) oldest = number;
  }
  return oldest;
}

void LogFilesReader::start_at_oldest() {
  std::int32_t oldest = 0;
  do {
    oldest = oldest_log(path_);
    start_at(oldest);
    // Rotated meanwhile, another file may have come to its name.
  } while (oldest_log(path_) > oldest);
}

void LogFilesReader::start_at(std::int32_t number, std::int64_t offset) {
  while (!open(number, offset) && number > 0) {
    --number;
    offset = 0;
  }
}

void LogFilesReader::start_at_end() {
  const auto found = stat_log(path_);
  start_at(0, found ? found->size : 0);
}

bool LogFilesReader::start_behind(const LogPosition& position) {
  if (const auto number = find_log(path_, position.file)) {
    const auto found = stat_log(rotated_name(path_, *number));
    const bool there = found && found->identity == position.file;
    if (there && open(*number, std::min(position.offset, found->size))) return true;
  }
  start_at_oldest();
  gap_ = true;
  return false;
}

bool LogFilesReader::open(std::int32_t number, std::int64_t offset) {
  UniqueFd file(::open(rotated_name(path_, number).c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!file) return false;
  const auto found = stat_log(file.get());
  if (!found) return false;
  live_ = {std::move(file), found->identity, offset, offset, {}};
  return true;
}

LogFilesReader::Progress LogFilesReader::read(std::size_t budget, const Take& take) {
  if (late_.file.valid()) read_some(late_, budget, take);
  std::size_t used = 0;
  while (used < budget) {
    const std::size_t count = live_.file.valid() ? read_some(live_, budget - used, take) : 0;
    used += count;
    if (count == 0 && !go_on(take)) return Progress::End;
  }
  return Progress::More;
}

std::size_t LogFilesReader::read_some(Open& from, std::size_t budget, const Take& take) {
  thread_local std::vector<char> buffer(kChunk);
  std::size_t used = 0;
  while (used < budget) {
    const ssize_t count = ::pread(from.file.get(), buffer.data(), buffer.size(), from.offset);
    if (count <= 0) {
      const auto found = stat_log(from.file.get());
      if (count < 0 || !found || found->size >= from.offset) break;
      from.offset = from.taken = 0;  // truncated
      from.lines = {};
      continue;
    }
    const std::int64_t begin = from.offset;
    from.offset += count;
    used += static_cast<std::size_t>(count);
    from.lines.feed(
        {buffer.data(), static_cast<std::size_t>(count)},
        [&](std::string_view text, bool truncated, std::size_t end) {
          from.taken = begin + static_cast<std::int64_t>(end);
          take({text, truncated, std::exchange(gap_, false), {from.identity, from.taken}});
        });
  }
  return used;
}

// To the file that came after the one that has been read to its end; false: there is none.
bool LogFilesReader::go_on(const Take& take) {
  if (!live_.file.valid()) {
    start_at_oldest();
    return live_.file.valid();
  }
  const auto number = find_log(path_, live_.identity);
  if (number == 0) return false;
  const std::int32_t next = number ? *number - 1 : oldest_log(path_);
  // What was written between its last read and its renaming.
  if (read_some(live_, kChunk, take) > 0) return true;
  Open before = std::move(live_);
  if (!open(next, 0)) {
    live_ = std::move(before);
    return false;
  }
  // A rotation between the two looks would have made us pass over a file.
  if (number &&
      find_log(path_, before.identity) != find_log(path_, live_.identity).value_or(-2) + 1) {
    live_ = std::move(before);
    return true;
  }
  if (!number) gap_ = true;
  take_rest(late_, take);
  late_ = std::move(before);
  return true;
}

void LogFilesReader::take_rest(Open& from, const Take& take) {
  if (!from.lines.has_partial()) return;
  bool truncated = false;
  const std::string rest = from.lines.take_partial(truncated);
  from.taken = from.offset;
  take({rest, truncated, std::exchange(gap_, false), {from.identity, from.taken}});
}

void LogFilesReader::take_partial(const Take& take) {
  take_rest(late_, take);
  take_rest(live_, take);
}

}  // namespace appd::runtime
