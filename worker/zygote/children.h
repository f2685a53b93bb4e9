// Children: the living workers of a zygote, from the fork to the burial.
#pragma once

#include <poll.h>
#include <sys/types.h>

#include <map>
#include <span>
#include <string>
#include <vector>

#include "worker/net/oom_record.h"
#include "worker/zygote/appd_link.h"
#include "worker/zygote/child.h"
#include "worker/zygote/rollout.h"

namespace appd::zygote {

// Owns them and their links; appd is told of all that becomes of them. The zygote's only thread.
class Children {
 public:
  Children(Rollout& rollout, AppdLink& link) : rollout_(rollout), link_(link) {}

  bool empty() const { return children_.empty(); }
  std::size_t size() const { return children_.size(); }
  // nullptr: there is none of this number.
  Child* find(std::uint32_t worker);
  // Before a fork: the slot's last owner is gone, and was told of.
  void make_room(std::uint32_t worker);
  // A new one, which is forked and told what the rollout is tuned to.
  void add(Child child);
  // Tells a new appd of all.
  void tell_all();

  // What they are to be polled for is appended, in an order that holds until read().
  void poll_for(std::vector<pollfd>& polled) const;
  // `polled` begins with what poll_for() has appended.
  void read(std::span<const pollfd> polled);
  // Of commands that have ended, what they had still to say.
  void read_outputs_left();

  // When on_time() or announce_ready() has something to do.
  net::TimePoint next_deadline() const;
  // Whoever is late, stopped for too long, or silent.
  void on_time();
  // A command that has stayed up is ready.
  void announce_ready();

  void tune(const message::Tune& tune);
  void drain_all();
  // New log files, the access log's among them, are open in this process (log_files.h).
  void hand_out_log_files();
  // By waitid(2): it was stopped, or goes on.
  void note_job_control(pid_t pid, bool stopped);
  // Whether there is such a child, and it leads a process group.
  bool is_command(pid_t pid) const;
  // It has been reaped. Of whom else may have come to us nothing is known.
  void bury(pid_t pid, int wait_status);

 private:
  void read_child(Child& child);
  void look_at_slots(net::TimePoint now);
  void hurry_log_files();
  void tend_stacks(net::TimePoint now);
  void tell_of_end(Child& child, int wait_status);

  Rollout& rollout_;
  AppdLink& link_;
  std::map<pid_t, Child> children_;
  std::vector<net::LogPipe> outputs_left_;
  net::OomRecord oom_;
  net::TimePoint next_round_ = net::kNever;  // when the slots are looked at
  net::TimePoint hurry_at_ = net::kNever;    // when log files are to have been taken
};

}  // namespace appd::zygote
