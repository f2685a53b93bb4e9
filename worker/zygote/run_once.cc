// Start, output, limit and end of each task.
#include "worker/zygote/run_once.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <utility>

#include "common/exit_status.h"
#include "common/words.h"
#include "worker/net/log_line.h"

namespace appd::zygote {
namespace {

// How long a task may take to end after SIGTERM when its time is over.
constexpr std::chrono::seconds kGrace{5};

void write_all(int fd, const char* data, std::size_t size) {
  while (size > 0) {
    ssize_t count = ::write(fd, data, size);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return;  // a full disk does not stop a migration
    data += count;
    size -= static_cast<std::size_t>(count);
  }
}

}  // namespace

void RunOnce::begin(const message::Load& load) {
  commands_ = load.run_once;
  directory_ = load.directory;
  timeout_ = std::chrono::milliseconds(load.run_once_timeout_ms);
  start_next();
}

void RunOnce::start_next() {
  if (next_ == commands_.size()) {
    done_ = true;
    return;
  }
  ++next_;
  news_ = true;
  tail_.clear();
  net::LogLine("info", "run_once").add("command", command());
  auto argv = split_words(command());
  if (!argv) return fail(argv.error().message);
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) < 0) return fail(std::strerror(errno));
  output_.reset(ends[0]);
  UniqueFd write_end(ends[1]);
  ::fcntl(output_.get(), F_SETFL, O_NONBLOCK);
  auto pid = launcher_.start({argv.value(), directory_, write_end.get(), true});
  if (!pid) return fail("cannot be started: " + pid.error().message);
  pid_ = pid.value();
  limit_ = net::steady_now() + timeout_;
}

std::optional<message::Message> RunOnce::news() {
  return std::exchange(news_, false) ? present() : std::nullopt;
}

std::optional<message::Message> RunOnce::present() const {
  if (failure_) return *failure_;
  if (!running()) return std::nullopt;
  return message::RunningOnce{static_cast<std::uint32_t>(next_),
                              static_cast<std::uint32_t>(commands_.size()), command()};
}

void RunOnce::read_output() {
  std::array<char, 16 * 1024> buffer;
  ssize_t count = -1;
  // A bound, so that one who writes without end keeps us from nothing; a pipe holds less than that.
  for (int i = 0; i < 16; ++i) {
    count = ::read(output_.get(), buffer.data(), buffer.size());
    if (count <= 0) break;
    auto size = static_cast<std::size_t>(count);
    write_all(STDERR_FILENO, buffer.data(), size);
    tail_.append(buffer.data(), size);
    if (tail_.size() > kMostTail) tail_.erase(0, tail_.size() - kMostTail);
  }
  if (count == 0) output_.reset();  // it has closed its output; that is not yet its end
}

void RunOnce::on_time() {
  if (limit_ > net::steady_now()) return;
  bool told = std::exchange(late_, true) || cancelled_;
  ::kill(-pid_, told ? SIGKILL : SIGTERM);
  limit_ = told ? net::kNever : net::steady_now() + kGrace;
}

void RunOnce::ended(int wait_status) {
  if (output_.valid()) read_output();
  output_.reset();
  pid_ = 0;
  limit_ = net::kNever;
  if (cancelled_) return;
  if (late_) {
    fail("was ended: it ran longer than run_once_timeout (" +
         std::to_string(timeout_.count() / 1000) + " s)");
  } else if (wait_status != 0) {
    fail(describe_exit(wait_status));
  } else {
    start_next();
  }
}

void RunOnce::cancel(std::chrono::milliseconds grace) {
  if (!running() || std::exchange(cancelled_, true)) return;
  ::kill(-pid_, SIGTERM);
  limit_ = grace.count() == 0 ? net::kNever : net::steady_now() + grace;
}

void RunOnce::fail(const std::string& how) {
  done_ = true;
  news_ = true;
  std::string summary = "run_once \"" + command().substr(0, 500) + "\" " + how;
  net::LogLine("warn", "run_once_failed").add("error", summary);
  failure_ = message::RunOnceFailed{std::move(summary), harmless(tail_)};
}

}  // namespace appd::zygote
