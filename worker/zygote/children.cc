// Each child in turn: what it says, what is due, and how it ended.
#include "worker/zygote/children.h"

#include <algorithm>
#include <cerrno>
#include <csignal>

#include "worker/net/log_files.h"
#include "worker/zygote/command.h"

namespace appd::zygote {
namespace {

// After which a worker that has not taken its new log files is signalled to: it is inside the app.
constexpr std::chrono::milliseconds kTakeLogFiles{50};

}  // namespace

Child* Children::find(std::uint32_t worker) {
  for (auto& [pid, child] : children_) {
    if (child.worker == worker) return &child;
  }
  return nullptr;
}

void Children::make_room(std::uint32_t worker) {
  rollout_.scoreboard.begin_worker(worker);
  oom_.note();
}

void Children::add(Child child) {
  child.settings_revision = rollout_.settings().revision;
  if (!child.command) next_round_ = std::min(next_round_, child.forked);
  link_.send(child.forked_message(child.forked));
  children_.insert_or_assign(child.pid, std::move(child));
}

void Children::tell_all() {
  net::TimePoint now = net::steady_now();
  for (const auto& [pid, child] : children_) {
    link_.send(child.forked_message(now));
    if (child.ready == net::kNever) continue;
    link_.send(child.ready_message(now, rollout_.loaded.worker_class));
  }
}

void Children::poll_for(std::vector<pollfd>& polled) const {
  for (const auto& [pid, child] : children_) polled.push_back({child.fd(), POLLIN, 0});
  for (const net::LogPipe& output : outputs_left_) polled.push_back({output.fd(), POLLIN, 0});
}

void Children::read(std::span<const pollfd> polled) {
  std::size_t at = 0;
  for (auto& [pid, child] : children_) {
    if (polled[at++].revents != 0) read_child(child);
  }
  read_outputs_left();
}

void Children::read_child(Child& child) {
  if (child.output) child.output->read();
  while (child.channel.open()) {
    auto received = child.channel.receive();
    if (!received) {
      if (received.error().sys_errno != EAGAIN) child.channel.close();
      return;
    }
    message::Message& message = received->message;
    if (auto* stuck = std::get_if<message::Stuck>(&message)) {
      child.condemn(
          stuck->request ? message::ExitCause::RequestTimeout : message::ExitCause::Timeout,
          stuck->what + " after " + std::to_string(stuck->after_ms) + " ms", net::steady_now());
    } else if (auto* ready = std::get_if<message::Ready>(&message)) {
      child.ready = net::steady_now();
      child.settings_revision = ready->settings_revision;
      ready->age_ms = 0;
      if (!ready->worker_class.empty()) rollout_.loaded.worker_class = ready->worker_class;
      link_.send(std::move(message));
    } else if (auto* tuned = std::get_if<message::Tuned>(&message)) {
      child.settings_revision = tuned->settings_revision;
      link_.send(std::move(message));
    } else if (std::holds_alternative<message::BootFailed>(message)) {
      link_.send(std::move(message));
    }  // a worker may say nothing else
  }
}

void Children::read_outputs_left() {
  for (net::LogPipe& output : outputs_left_) output.read();
  std::erase_if(outputs_left_, [](const net::LogPipe& output) { return output.fd() < 0; });
}

net::TimePoint Children::next_deadline() const {
  net::TimePoint now = net::steady_now();
  net::TimePoint next = hurry_at_;
  if (!children_.empty()) next = std::min(next, next_round_);
  for (const auto& [pid, child] : children_) next = std::min(next, child.next_look(now));
  return next;
}

void Children::on_time() {
  net::TimePoint now = net::steady_now();
  for (auto& [pid, child] : children_) child.kill_if_late(now);
  if (hurry_at_ <= now) hurry_log_files();
  auto limit = stuck_limit(rollout_.settings());
  for (auto& [pid, child] : children_) {
    if (child.stopped_by > now) continue;
    child.stopped_by = net::kNever;
    child.condemn(message::ExitCause::Stopped, "for " + std::to_string(limit.count()) + " ms", now);
  }
  if (now >= next_round_) look_at_slots(now);
  tend_stacks(now);
}

// What a worker's own monitor does not see: that the whole process stands still, or the monitor.
void Children::look_at_slots(net::TimePoint now) {
  constexpr std::chrono::milliseconds kShortest{1'000};
  constexpr std::chrono::milliseconds kLongest{30'000};
  auto limit = stuck_limit(rollout_.settings());
  next_round_ = limit.count() == 0 ? net::kNever : now + std::clamp(limit / 2, kShortest, kLongest);
  for (auto& [pid, child] : children_) {
    const ScoreboardSlot& slot = rollout_.scoreboard.slot(child.worker);
    if (child.ready == net::kNever || !Child::silent(slot, limit, now)) continue;
    const RequestInHand* oldest = newest_in_hand(slot);
    child.condemn(message::ExitCause::Silent,
                  oldest == nullptr ? "" : std::string(oldest->method) + " " + oldest->path, now);
  }
}

void Children::tend_stacks(net::TimePoint now) {
  for (auto& [pid, child] : children_) {
    if (!child.stacks_taken(now)) continue;
    if (std::exchange(child.stacks_for_appd, false)) {
      link_.send(message::Stacks{child.worker, child.last_stacks});
    }
    if (child.kill_after_stacks) ::kill(pid, SIGKILL);
  }
}

void Children::announce_ready() {
  net::TimePoint now = net::steady_now();
  for (auto& [pid, child] : children_) {
    if (child.ready_at > now) continue;
    child.ready_at = net::kNever;
    child.ready = now;
    link_.send(child.ready_message(now, kCommandClass));
  }
}

// Commands are told nothing: what concerns them, we do.
void Children::tune(const message::Tune& tune) {
  next_round_ = net::steady_now();
  for (auto& [pid, child] : children_) {
    if (child.channel.open()) (void)child.channel.send(tune);
    if (!child.command) continue;
    child.settings_revision = tune.settings.revision;
    link_.send(message::Tuned{child.worker, child.settings_revision});
  }
}

void Children::drain_all() {
  net::TimePoint now = net::steady_now();
  for (auto& [pid, child] : children_) child.drain(rollout_.settings(), now);
}

// Those that wait for events are told by a message.
void Children::hand_out_log_files() {
  for (auto& [pid, child] : children_) {
    if (child.command) continue;
    net::send_log_files(child.log_files.get(), 1, net::access_log_descriptor());
    if (child.channel.open()) (void)child.channel.send(message::Reopen{});
  }
  if (hurry_at_ == net::kNever) hurry_at_ = net::steady_now() + kTakeLogFiles;
}

// Those that are inside the app, or still import it, take their files in a signal handler.
void Children::hurry_log_files() {
  hurry_at_ = net::kNever;
  for (auto& [pid, child] : children_) {
    if (child.command) continue;  // SIGUSR1 would mean something else to it
    if (net::log_files_untaken(child.log_files.get())) ::kill(pid, SIGUSR1);
  }
}

void Children::note_job_control(pid_t pid, bool stopped) {
  auto found = children_.find(pid);
  if (found == children_.end()) return;
  found->second.note_job_control(stopped, stuck_limit(rollout_.settings()), net::steady_now());
}

bool Children::is_command(pid_t pid) const {
  auto found = children_.find(pid);
  return found != children_.end() && found->second.command;
}

void Children::bury(pid_t pid, int wait_status) {
  auto found = children_.find(pid);
  if (found == children_.end()) return;
  Child& child = found->second;
  read_child(child);                      // its last words
  if (child.batch) child.batch->flush();  // and what a killed one could not write
  child.settle_cause(wait_status, child.killed_by_others(wait_status) ? oom_.verdict(pid) : "");
  if (rollout_.scoreboard.valid()) {
    ScoreboardSlot& slot = rollout_.scoreboard.slot(child.worker);
    end_taking(slot, rollout_.scoreboard.takers());
    slot.pid.store(0);
  }
  tell_of_end(child, wait_status);
  if (child.output) outputs_left_.push_back(*std::move(child.output));
  children_.erase(found);
}

void Children::tell_of_end(Child& child, int wait_status) {
  net::TimePoint now = net::steady_now();
  if (child.command && child.ready == net::kNever && child.cause == message::ExitCause::Own) {
    std::string how = describe_early_end(rollout_.argv[0], wait_status, now - child.forked,
                                         rollout_.settings().startsecs_ms);
    link_.send(message::BootFailed{child.worker, message::BootFailure::Ended, std::move(how),
                                   harmless(child.output->tail())});
  }
  link_.send(child.exited_message(now, wait_status));
}

}  // namespace appd::zygote
