// The life of the link: messages both ways, the end of the zygote, and its orphans.
#include "supervisor/runtime/zygote_link.h"

#include <signal.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <cerrno>

#include "common/exit_status.h"

namespace appd::runtime {

ZygoteLink::ZygoteLink(Poller& poller, Owner owner, PidRef process, message::Channel channel,
                       Files files, Sink sink)
    : poller_(poller),
      owner_(std::move(owner)),
      process_(std::move(process)),
      channel_(std::move(channel)),
      files_(std::move(files)),
      sink_(std::move(sink)) {
  if (!process_.valid()) return;
  APPD_CHECK(
      poller_.add(channel_.fd(), EPOLLIN, [this](std::uint32_t events) { on_channel(events); }));
  APPD_CHECK(poller_.add(process_.fd(), EPOLLIN, [this](std::uint32_t) { on_process(); }));
}

ZygoteLink::~ZygoteLink() {
  close_channel();
  if (process_.valid()) poller_.remove(process_.fd());
  for (const auto& [id, worker] : workers_) poller_.remove(worker.fd());
}

void ZygoteLink::send(message::Message message, std::vector<UniqueFd> descriptors) {
  if (!channel_.open()) return;
  outbox_.push_back({std::move(message), std::move(descriptors)});
  flush();
}

void ZygoteLink::flush() {
  while (!outbox_.empty()) {
    std::vector<int> descriptors;
    for (const UniqueFd& fd : outbox_.front().descriptors) descriptors.push_back(fd.get());
    auto sent = channel_.send(outbox_.front().message, descriptors);
    if (!sent && sent.error().sys_errno == EAGAIN) break;
    if (!sent) {
      outbox_.clear();  // its end is told by its pidfd
      return;
    }
    outbox_.pop_front();
  }
  poller_.change(channel_.fd(), outbox_.empty() ? EPOLLIN : EPOLLIN | EPOLLOUT);
}

void ZygoteLink::retire(int stop_signal) {
  if (channel_.open()) {
    send(message::Quit{});
  } else {
    for (const auto& [id, worker] : workers_) worker.signal_group(stop_signal);
  }
}

void ZygoteLink::drain_worker(core::WorkerId id, int stop_signal) {
  auto it = workers_.find(id);
  if (channel_.open()) {
    send(message::Drain{id});
  } else if (it != workers_.end()) {
    it->second.signal_group(stop_signal);
  }
}

void ZygoteLink::kill() {
  killed_ = true;
  process_.signal(SIGKILL);
  for (const auto& [id, worker] : workers_) worker.signal_group(SIGKILL);
}

void ZygoteLink::kill_worker(core::WorkerId id) {
  auto it = workers_.find(id);
  if (it != workers_.end()) it->second.signal_group(SIGKILL);
}

void ZygoteLink::end_zygote() { process_.signal(SIGKILL); }

void ZygoteLink::tell_stage(const message::Stage& stage) {
  if (stage == stage_) return;
  stage_ = stage;
  send(stage);
}

void ZygoteLink::on_channel(std::uint32_t events) {
  receive_all();
  if (channel_.open() && (events & EPOLLOUT) != 0) flush();
}

void ZygoteLink::receive_all() {
  while (channel_.open()) {
    auto received = channel_.receive();
    if (received) {
      handle(*std::move(received));
      continue;
    }
    if (received.error().sys_errno == EAGAIN) return;
    if (received.error().sys_errno == ECONNRESET) {
      close_channel();  // its pidfd tells the rest
    } else {
      break_off(received.error().message);
    }
  }
}

void ZygoteLink::handle(message::Received received) {
  std::visit(Overloaded{
                 [&](message::Forked& forked) { on_forked(forked); },
                 [&](message::Exited& exited) {
                   forget_worker(exited.worker);
                   sink_(std::move(exited), {});
                 },
                 [&](message::Hello& hello) {
                   if (hello.protocol != message::kProtocolVersion) {
                     break_off("speaks protocol " + std::to_string(hello.protocol));
                   } else {
                     sink_(std::move(hello), std::move(received.descriptors));
                   }
                 },
                 [&]<typename M>(M& other) {
                   if constexpr (std::is_constructible_v<core::RolloutEvent, M>) {
                     sink_(std::move(other), {});
                   } else {
                     break_off("sent a message that is not a zygote's");
                   }
                 },
             },
             received.message);
}

void ZygoteLink::on_forked(const message::Forked& forked) {
  auto worker = PidRef::open_child(forked.pid, process_.pid());
  if (worker) {
    workers_[forked.worker] = *std::move(worker);
  } else if (worker.error().reason == "PID_STRANGER" && read_stat(forked.pid)) {
    break_off("claims process " + std::to_string(forked.pid) + ", which is not its child");
    return;
  }  // else it has ended already and Exited is on its way
  sink_(forked, {});
}

void ZygoteLink::forget_worker(core::WorkerId id) { workers_.erase(id); }

void ZygoteLink::on_process() {
  receive_all();  // what it said before it ended comes first
  close_channel();
  auto status = process_.reap();
  std::string how = status ? describe_exit(*status) : "ended";
  poller_.remove(process_.fd());
  process_ = {};
  remove_control_socket(files_.control);
  find_untold();
  watch_orphans();
  sink_(core::ZygoteGone{how, log_tail(files_.log, files_.log_begin)}, {});
}

void ZygoteLink::take_orphans() {
  remove_control_socket(files_.control);
  find_untold();
  watch_orphans();
  sink_(core::ZygoteGone{"has ended", ""}, {});
}

// Workers that it has forked and not told of any more.
void ZygoteLink::find_untold() {
  const std::string token = token_of(files_.control.socket);
  std::vector<SessionMember> members = find_session(owner_, token);
  bool grown = false;
  for (const SessionMember& member : members) {
    if (member.newborn && !end_newborn(member)) grown = true;
  }
  if (grown) members = find_session(owner_, token);
  for (SessionMember& member : members) {
    core::WorkerId id = member.worker;
    if (id == 0 || workers_.contains(id)) continue;
    if (killed_) {
      member.process.signal_group(SIGKILL);
      continue;
    }
    if (scoreboard_ == nullptr) {
      Scoreboard borrowed = borrow_scoreboard(member.process);
      if (borrowed.valid()) set_scoreboard(std::move(borrowed));
    }
    auto age = static_cast<std::uint64_t>(member.age.count());
    sink_(message::Forked{id, member.process.pid(), false, age}, {});
    // Commands have no slot that would tell.
    bool has_slot =
        scoreboard_ != nullptr && scoreboard_->slot(id).pid.load() == member.process.pid();
    if (!has_slot || scoreboard_->slot(id).takes_clients.load() != 0) {
      sink_(message::Ready{id, 0, "", age}, {});
    }
    workers_[id] = std::move(member.process);
  }
}

std::vector<UniqueFd> ZygoteLink::borrow_listeners() const {
  for (const auto& [id, worker] : workers_) {
    auto listeners = runtime::borrow_listeners(worker);
    if (!listeners.empty()) return listeners;
  }
  return {};
}

void ZygoteLink::watch_orphans() {
  for (const auto& [id, worker] : workers_) {
    auto gone = [this, id = id](std::uint32_t) { bury_orphan(id); };
    APPD_CHECK(poller_.add(worker.fd(), EPOLLIN, gone));
  }
  if (workers_.empty()) end_session();
}

void ZygoteLink::bury_orphan(core::WorkerId id) {
  PidRef& worker = workers_.at(id);
  poller_.remove(worker.fd());
  if (scoreboard_ != nullptr && scoreboard_->slot(id).pid.load() == worker.pid()) {
    // As its zygote would have done: its siblings count on those that take clients.
    end_taking(scoreboard_->slot(id), scoreboard_->takers());
    scoreboard_->slot(id).pid.store(0);
  }
  workers_.erase(id);
  if (workers_.empty()) end_session();
  sink_(core::OrphanGone{id}, {});
}

// What the app has started and left behind goes with the last of its workers.
void ZygoteLink::end_session() {
  for (const SessionMember& member : find_session(owner_, token_of(files_.control.socket))) {
    member.process.signal(SIGKILL);
  }
  remove_owner(files_.control);
}

void ZygoteLink::break_off(const std::string& why) {
  close_channel();
  ::dprintf(STDERR_FILENO, "level=warn event=zygote_broken pid=%d why=\"%s\"\n", process_.pid(),
            why.c_str());
  end_zygote();
}

void ZygoteLink::close_channel() {
  if (!channel_.open()) return;
  poller_.remove(channel_.fd());
  channel_.close();
  outbox_.clear();
}

}  // namespace appd::runtime
