// Windows that grow fourfold until they hold enough.
#include "supervisor/runtime/log_tail_finder.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

namespace appd::runtime {
namespace {

constexpr std::int64_t kFirstWindow = std::int64_t{256} * 1024;
constexpr std::size_t kChunk = 256 * 1024;

}  // namespace

LogTailFinder::LogTailFinder(std::string path, std::int32_t wanted, Matches matches)
    : path_(std::move(path)), wanted_(wanted), matches_(std::move(matches)) {
  begin_file(0);
  start_offset_ = end_;
  if (wanted_ == 0) done_ = true;
}

void LogTailFinder::begin_file(std::int32_t number) {
  number_ = number;
  file_ = UniqueFd(::open(rotated_name(path_, number).c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  const auto found = file_.valid() ? stat_log(file_.get()) : std::nullopt;
  end_ = found ? found->size : 0;
  window_ = std::min(kFirstWindow, end_);
  found_later_ = found_;
  begin_window();
}

void LogTailFinder::begin_window() {
  at_ = line_begins_ = end_ - window_;
  skipping_ = at_ > 0;
  lines_ = {};
  begins_.clear();
}

bool LogTailFinder::step(std::size_t budget) {
  thread_local std::vector<char> buffer(kChunk);
  std::size_t used = 0;
  while (!done_ && used < budget) {
    const auto most = static_cast<std::size_t>(
        std::min<std::int64_t>(end_ - at_, static_cast<std::int64_t>(buffer.size())));
    const ssize_t count = most == 0 ? 0 : ::pread(file_.get(), buffer.data(), most, at_);
    if (count <= 0) {
      done_ = end_window();
      continue;
    }
    const std::int64_t begin = at_;
    at_ += count;
    used += static_cast<std::size_t>(count);
    lines_.feed({buffer.data(), static_cast<std::size_t>(count)},
                [&](std::string_view line, bool, std::size_t end) {
                  const bool counts = !std::exchange(skipping_, false) && matches_(line);
                  if (counts) begins_.push_back(line_begins_);
                  if (std::ssize(begins_) > wanted_ - found_later_) begins_.pop_front();
                  line_begins_ = begin + static_cast<std::int64_t>(end);
                });
  }
  return done_;
}

// True: the search is over.
bool LogTailFinder::end_window() {
  if (lines_.has_partial() && !skipping_) {
    bool truncated = false;
    if (matches_(lines_.take_partial(truncated))) begins_.push_back(line_begins_);
    if (std::ssize(begins_) > wanted_ - found_later_) begins_.pop_front();
  }
  found_ = found_later_ + static_cast<std::int32_t>(begins_.size());
  if (!begins_.empty()) {
    start_number_ = number_;
    start_offset_ = begins_.front();
  }
  if (found_ >= wanted_) return true;
  if (window_ < end_) {
    window_ = std::min(window_ * 4, end_);
    begin_window();
    return false;
  }
  if (!stat_log(rotated_name(path_, number_ + 1))) return true;
  begin_file(number_ + 1);
  return false;
}

// A rotation meanwhile moves the start by a file: then there are a few lines too many.
void LogTailFinder::place(LogFilesReader& reader) const {
  reader.start_at(start_number_, start_offset_);
}

}  // namespace appd::runtime
