// The life of the link: messages both ways, the end of the zygote, and its orphans.
#include "supervisor/runtime/zygote_link.h"

#include <signal.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <cerrno>

#include "common/exit_status.h"

namespace appd::runtime {

ZygoteLink::ZygoteLink(Poller& poller, PidRef process, message::Channel channel, Files files,
                       Sink sink)
    : poller_(poller),
      process_(std::move(process)),
      channel_(std::move(channel)),
      files_(std::move(files)),
      sink_(std::move(sink)) {
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

void ZygoteLink::retire() {
  if (channel_.open()) {
    send(message::Quit{});
  } else {
    for (const auto& [id, worker] : workers_) worker.signal_group(SIGTERM);
  }
}

void ZygoteLink::drain_worker(core::WorkerId id) {
  auto it = workers_.find(id);
  if (channel_.open()) {
    send(message::Drain{id});
  } else if (it != workers_.end()) {
    it->second.signal(SIGTERM);
  }
}

void ZygoteLink::kill() {
  process_.signal(SIGKILL);
  for (const auto& [id, worker] : workers_) worker.signal_group(SIGKILL);
}

void ZygoteLink::kill_worker(core::WorkerId id) {
  auto it = workers_.find(id);
  if (it != workers_.end()) it->second.signal_group(SIGKILL);
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
  if (!files_.socket.empty()) {
    ::unlink(files_.socket.c_str());
    ::unlink((files_.socket + ".pid").c_str());
  }
  watch_orphans();
  sink_(core::ZygoteGone{how, log_tail(files_.log, files_.log_begin)}, {});
}

void ZygoteLink::watch_orphans() {
  for (const auto& [id, worker] : workers_) {
    auto gone = [this, id = id](std::uint32_t) {
      poller_.remove(workers_.at(id).fd());
      workers_.erase(id);
      sink_(core::OrphanGone{id}, {});
    };
    APPD_CHECK(poller_.add(worker.fd(), EPOLLIN, gone));
  }
}

void ZygoteLink::break_off(const std::string& why) {
  close_channel();
  ::dprintf(STDERR_FILENO, "level=warn event=zygote_broken pid=%d why=\"%s\"\n", process_.pid(),
            why.c_str());
  kill();
}

void ZygoteLink::close_channel() {
  if (!channel_.open()) return;
  poller_.remove(channel_.fd());
  channel_.close();
  outbox_.clear();
}

}  // namespace appd::runtime
