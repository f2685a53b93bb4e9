// pipe(7), and whole lines of it.
#include "worker/net/log_pipe.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "worker/net/log_output.h"

namespace appd::net {
namespace {

// What may come while nobody reads, because a zygote has died and the next one is on its way.
constexpr int kPipeSize = 1024 * 1024;
constexpr std::size_t kMostPending = 64 * 1024;

}  // namespace

Result<LogPipe> LogPipe::create(std::string writer, bool outlives_us) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) < 0) return sys_error("LOG_PIPE", "create a pipe", errno);
  UniqueFd reading(ends[0]);
  UniqueFd writing(ends[1]);
  ::fcntl(reading.get(), F_SETFL, O_NONBLOCK);
  ::fcntl(reading.get(), F_SETPIPE_SZ, kPipeSize);  // less is allowed to some users, and will do
  if (outlives_us) {
    // Who has a pipe open for both never sees it broken (fifo(7)); ours still ends when all are
    // gone.
    std::string path = "/proc/self/fd/" + std::to_string(writing.get());
    UniqueFd both(::open(path.c_str(), O_RDWR | O_CLOEXEC));
    if (both) writing = std::move(both);
  }
  return LogPipe(std::move(writer), std::move(reading), std::move(writing));
}

void LogPipe::read() {
  std::array<char, 16 * 1024> buffer;
  // One pipe full, and a bit.
  for (std::size_t done = 0; reading_ && done <= kPipeSize;) {
    ssize_t count = ::read(reading_.get(), buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return;  // nothing more for now
    if (count == 0) return end();
    done += static_cast<std::size_t>(count);
    take({buffer.data(), static_cast<std::size_t>(count)});
  }
}

void LogPipe::take(std::string_view text) {
  tail_.append(text);
  if (tail_.size() > kMostTail) tail_.erase(0, tail_.size() - kMostTail);
  std::size_t lines = text.rfind('\n') + 1;  // 0: it has no end of a line
  pending_.append(text.substr(0, lines));
  if (lines > 0) write_pending();
  pending_.append(text.substr(lines));
  if (pending_.size() >= kMostPending) write_pending();
}

void LogPipe::write_pending() {
  write_log_of(writer_, !within_line_, pending_);
  within_line_ = pending_.back() != '\n';
  pending_.clear();
}

void LogPipe::end() {
  reading_.reset();
  if (pending_.empty() && !within_line_) return;
  pending_ += '\n';  // what comes next is another's line
  write_pending();
}

}  // namespace appd::net
