// Start, output, limit and end of each task.
#include "worker/zygote/run_once.h"

#include <csignal>
#include <utility>

#include "common/exit_status.h"
#include "common/words.h"
#include "worker/net/log_line.h"

namespace appd::zygote {
namespace {

// How long a task may take to end after SIGTERM when its time is over.
constexpr std::chrono::seconds kGrace{5};

}  // namespace

void RunOnce::begin(const message::Load& load) {
  commands_ = load.run_once;
  directory_ = load.directory;
  log_writer_ = std::to_string(load.rollout) + "/-";
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
  output_.reset();
  net::LogLine("info", "run_once").add("command", command());
  auto argv = split_words(command());
  if (!argv) return fail(argv.error().message);
  auto output = net::LogPipe::create(log_writer_, false);
  if (!output) return fail(output.error().message);
  output_ = std::move(output).value();
  auto pid = launcher_.start({argv.value(), directory_, output_->writing_end(), true});
  output_->close_writing_end();
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

void RunOnce::on_time() {
  if (limit_ > net::steady_now()) return;
  bool told = std::exchange(late_, true) || cancelled_;
  ::kill(-pid_, told ? SIGKILL : SIGTERM);
  limit_ = told ? net::kNever : net::steady_now() + kGrace;
}

void RunOnce::ended(int wait_status) {
  output_->read();
  output_->end();
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
  failure_ = message::RunOnceFailed{std::move(summary), output_ ? harmless(output_->tail()) : ""};
}

}  // namespace appd::zygote
