// ZygoteLink: one zygote as appd holds it: its process, its socket, its scoreboard, and references
// to its workers. Or what is left of them when the zygote is gone.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "common/messages.h"
#include "common/scoreboard.h"
#include "supervisor/core/transitions.h"
#include "supervisor/runtime/control_socket.h"
#include "supervisor/runtime/orphans.h"
#include "supervisor/runtime/output.h"
#include "supervisor/runtime/pid_ref.h"
#include "supervisor/runtime/poller.h"

namespace appd::runtime {

// Core thread only. Registers its descriptors with the poller and removes them when it ends. What
// the zygote says goes to the sink; after ZygoteGone and the last OrphanGone nothing more comes.
// What comes over the socket is checked: a zygote that sends garbage, claims strangers as its
// workers or speaks another protocol is killed, and its workers are orphans.
class ZygoteLink {
 public:
  using Sink = std::function<void(core::RolloutEvent event, std::vector<UniqueFd> descriptors)>;

  struct Files {
    ControlFiles control;  // where it listens for later appds, and whose that is
    std::string log;
    LogMark log_begin;  // the end of the log when it started
  };

  ZygoteLink(Poller& poller, Owner owner, PidRef process, message::Channel channel, Files files,
             Sink sink);
  ~ZygoteLink();
  ZygoteLink(const ZygoteLink&) = delete;
  ZygoteLink& operator=(const ZygoteLink&) = delete;

  // Queued when the socket is full; dropped when the zygote is gone.
  void send(message::Message message, std::vector<UniqueFd> descriptors = {});
  // Drain everything and end: Quit, or the signal to workers whose zygote is gone.
  void retire(int stop_signal);
  // The same with one of them.
  void drain_worker(core::WorkerId id, int stop_signal);
  void kill();
  void kill_worker(core::WorkerId id);
  // Sends it, unless that is what the zygote knows already.
  void tell_stage(const message::Stage& stage);
  // Kills the zygote and not its workers.
  void end_zygote();
  // Of a link that was made without a process, whose zygote is gone: its workers are looked for and
  // told of as if it had done so, and then ZygoteGone.
  void take_orphans();
  std::uint32_t workers() const { return static_cast<std::uint32_t>(workers_.size()); }
  bool ended() const { return !process_.valid() && workers_.empty(); }
  // The listening sockets of workers whose zygote cannot hand them over.
  std::vector<UniqueFd> borrow_listeners() const;
  const Owner& owner() const { return owner_; }

  void set_scoreboard(Scoreboard scoreboard) {
    scoreboard_ = std::make_shared<const Scoreboard>(std::move(scoreboard));
  }
  // Shared with whoever reads it on another thread; null: there is none.
  const std::shared_ptr<const Scoreboard>& scoreboard() const { return scoreboard_; }
  pid_t pid() const { return process_.pid(); }
  bool connected() const { return channel_.open(); }

 private:
  void on_channel(std::uint32_t events);
  void on_process();
  void receive_all();
  void handle(message::Received received);
  void on_forked(const message::Forked& forked);
  void flush();
  void break_off(const std::string& why);
  void close_channel();
  void find_untold();
  void watch_orphans();
  void bury_orphan(core::WorkerId id);
  void end_session();
  void forget_worker(core::WorkerId id);

  Poller& poller_;
  const Owner owner_;
  PidRef process_;
  message::Channel channel_;
  const Files files_;
  const Sink sink_;
  std::shared_ptr<const Scoreboard> scoreboard_;
  std::map<core::WorkerId, PidRef> workers_;
  struct Outgoing {
    message::Message message;
    std::vector<UniqueFd> descriptors;
  };
  std::deque<Outgoing> outbox_;
  message::Stage stage_;
  bool killed_ = false;
};

}  // namespace appd::runtime
