// Runtime: does what the planner decided. The only folder of appd with process and socket calls.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "supervisor/model/observed.h"
#include "supervisor/runtime/cgroups.h"
#include "supervisor/runtime/listeners.h"
#include "supervisor/runtime/log_files.h"
#include "supervisor/runtime/poller.h"
#include "supervisor/runtime/zygote_link.h"

namespace appd::runtime {

struct Paths {
  std::string state_dir;
  std::string runtime_dir;
  std::string bootstrap;    // appd_zygote.py
  std::string cgroup = {};  // whose children are the apps'; empty: the one that we are in

  std::string database() const { return state_dir + "/appd.db"; }
  std::string logs_dir() const { return state_dir + "/logs"; }
  LogPaths logs(const std::string& app) const {
    return {logs_dir() + "/" + app + ".log", logs_dir() + "/" + app + ".access.log"};
  }
  ControlPlaces zygotes() const { return {runtime_dir + "/zygotes", state_dir + "/zygotes"}; }
  std::string ledger() const { return runtime_dir + "/counters"; }
};

// A zygote of an earlier appd that answered, or the workers that it has left behind.
struct Adopted {
  core::RolloutKey key = 0;
  message::Hello hello;  // of orphans: app, rollout and workers only
  std::vector<UniqueFd> listeners;
  bool orphaned = false;  // the zygote is gone; its workers are told of as usual
};

// Core thread only. Results of actions come back as events through the sink, from within
// Poller::wait() or from the action itself when it fails at once.
class Runtime {
 public:
  using Sink = std::function<void(core::RolloutKey key, core::RolloutEvent event)>;

  Runtime(Poller& poller, Paths paths, Sink sink);
  ~Runtime();

  // Connects to the zygotes that an earlier appd left and waits, at most kAdoptTime for all, until
  // they have said what they have. Those that do not answer are killed. Workers whose zygote is
  // gone are looked for.
  std::vector<Adopted> adopt();

  core::RolloutKey new_key() { return next_key_++; }
  void start(core::RolloutKey key, const std::string& app, const core::Rollout& rollout,
             const ListenerSet& listeners);
  void fork_worker(core::RolloutKey key, core::WorkerId id);
  // The signal is for workers whose zygote cannot tell them any more.
  void drain_worker(core::RolloutKey key, core::WorkerId id, int stop_signal);
  void kill_worker(core::RolloutKey key, core::WorkerId id);
  // False: it has no zygote that could ask it. The answer is the event StacksTaken.
  bool take_stacks(core::RolloutKey key, core::WorkerId id);
  // False: it has no zygote that could tell it.
  bool cancel_request(core::RolloutKey key, core::WorkerId id, std::uint32_t number);
  // Where the workers are to write an access log, it is there for them before they begin.
  void tune(core::RolloutKey key, const std::string& app, const message::Settings& settings);
  // Duplicates of these, as of open_logs(), take the place of the log files that it has.
  void reopen(core::RolloutKey key, const std::vector<UniqueFd>& files);
  // Its workers spread new clients evenly over all who wait for them, or leave that to the kernel.
  void take_turns(core::RolloutKey key, bool wanted);
  // How far it has come, for the appd after this one.
  void tell_stage(core::RolloutKey key, const message::Stage& stage);
  void retire(core::RolloutKey key, int stop_signal);
  void kill(core::RolloutKey key);
  // Whether neither its zygote nor a worker is left.
  bool ended(core::RolloutKey key) const;
  // After its last event; forgets the link.
  void forget(core::RolloutKey key);

  // The slot of a worker, while its rollout is there.
  const ScoreboardSlot* figures(core::RolloutKey key, core::WorkerId id) const;
  // 0: it is not there.
  pid_t zygote_pid(core::RolloutKey key) const;
  // The last lines of the app's log.
  std::string log_tail(const std::string& app) const;
  // Null: there is none.
  std::shared_ptr<const Scoreboard> scoreboard(core::RolloutKey key) const;
  // What the rollout's processes could not write to their logs; nullptr: nothing is known.
  const LogLoss* log_loss(core::RolloutKey key) const;
  const Paths& paths() const { return paths_; }
  const Cgroups& cgroups() const { return cgroups_; }

 private:
  struct Zygote {
    std::unique_ptr<ZygoteLink> link;
    // Until Hello came: what to load.
    std::optional<message::Load> load;
    std::vector<UniqueFd> load_descriptors;
  };
  struct Adoption;

  Result<void> spawn(core::RolloutKey key, const std::string& app, const core::Rollout& rollout,
                     const ListenerSet& listeners);
  void on_event(core::RolloutKey key, core::RolloutEvent event, std::vector<UniqueFd> descriptors);
  void give_access_log(Zygote& zygote, const std::string& app, const message::Settings& settings);
  void adopt_one(const ControlFiles& control, Adoption& adoption);
  std::unique_ptr<ZygoteLink> make_link(core::RolloutKey key, Owner owner, PidRef process,
                                        message::Channel channel, ZygoteLink::Files files);

  Poller& poller_;
  const Paths paths_;
  const Cgroups cgroups_;
  const Sink sink_;
  std::map<core::RolloutKey, Zygote> zygotes_;
  core::RolloutKey next_key_ = 1;
  Adoption* adoption_ = nullptr;
};

}  // namespace appd::runtime
