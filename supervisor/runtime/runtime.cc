// From actions to messages and processes, and adoption.
#include "supervisor/runtime/runtime.h"

#include <fcntl.h>
#include <signal.h>

#include <cerrno>
#include <set>

#include "supervisor/runtime/control_socket.h"
#include "supervisor/runtime/output.h"
#include "supervisor/runtime/spawn.h"

namespace appd::runtime {
namespace {

constexpr std::chrono::seconds kAdoptTime{2};

Result<UniqueFd> duplicate(int fd) {
  UniqueFd copy(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
  if (!copy) return sys_error("DUP", "duplicate a descriptor", errno);
  return copy;
}

}  // namespace

struct Runtime::Adoption {
  std::set<core::RolloutKey> waiting;
  std::set<core::RolloutKey> lost;  // waited for in vain; its zygote has ended
  std::vector<Adopted> found;
};

Runtime::Runtime(Poller& poller, Paths paths, Sink sink)
    : poller_(poller),
      paths_(std::move(paths)),
      cgroups_(paths_.cgroup.empty() ? Cgroups::of_this_process() : Cgroups::below(paths_.cgroup)),
      sink_(std::move(sink)) {}

Runtime::~Runtime() = default;

void Runtime::start(core::RolloutKey key, const std::string& app, const core::Rollout& rollout,
                    const ListenerSet& listeners) {
  auto spawned = spawn(key, app, rollout, listeners);
  if (!spawned) sink_(key, core::SpawnFailed{spawned.error().message});
}

Result<void> Runtime::spawn(core::RolloutKey key, const std::string& app,
                            const core::Rollout& rollout, const ListenerSet& listeners) {
  const model::AppSpec& spec = rollout.spec;
  if (spec.require_limits) TRY(cgroups_.require(app, limits_of(spec)));
  const LogPaths logs = paths_.logs(app);
  UniqueFd log = TRY(open_log(logs.app));
  ZygoteLink::Files files{{}, logs.app, log_mark(log.get())};
  Scoreboard scoreboard = TRY(Scoreboard::create());
  Zygote zygote;
  message::Load& load = zygote.load.emplace();
  load.app = app;
  load.rollout = rollout.number;
  load.directory = spec.directory;
  load.app_uri = spec.app;
  load.preload = spec.preload;
  load.warmup_paths = spec.warmup_paths;
  load.worker_class = spec.worker_class;
  load.loop = spec.loop;
  load.lifespan = spec.lifespan;
  load.root_path = spec.root_path;
  load.command = spec.command;
  load.run_once = rollout.run_once;
  load.run_once_timeout_ms = static_cast<std::uint32_t>(spec.run_once_timeout.count());
  load.log_path = logs.app;
  load.access_log_path = logs.access;
  load.settings = rollout.settings;
  zygote.load_descriptors.push_back(TRY(duplicate(scoreboard.fd())));
  for (int fd : listeners.descriptors()) zygote.load_descriptors.push_back(TRY(duplicate(fd)));

  ControlSocket control = TRY(create_control_socket(paths_.zygotes()));
  files.control = control.files;
  // Connected before there is a zygote, which accepts it when it has started: should we die in
  // between, it finds the connection ended, and ends too.
  message::Channel channel = TRY(connect_control_socket(control.files.socket));
  auto process =
      spawn_zygote({app, rollout.number, spec, paths_.bootstrap, token_of(control.files.socket),
                    cgroups_.join_file(app), control.listening.get(), log.get()});
  if (!process) {
    remove_control_socket(control.files);
    return std::move(process).error();
  }
  Owner owner = owner_of(process->pid(), app, rollout.number);
  write_owner(control.files, owner);
  zygote.link =
      make_link(key, std::move(owner), *std::move(process), std::move(channel), std::move(files));
  zygote.link->set_scoreboard(std::move(scoreboard));
  zygotes_[key] = std::move(zygote);
  return {};
}

void Runtime::on_event(core::RolloutKey key, core::RolloutEvent event,
                       std::vector<UniqueFd> descriptors) {
  Zygote& zygote = zygotes_.at(key);
  if (auto* hello = std::get_if<message::Hello>(&event)) {
    if (zygote.load) {
      const std::string app = zygote.load->app;
      const message::Settings settings = zygote.load->settings;
      zygote.link->send(*std::move(zygote.load), std::move(zygote.load_descriptors));
      zygote.load.reset();
      zygote.load_descriptors.clear();
      give_access_log(zygote, app, settings);
    } else if (adoption_ != nullptr && adoption_->waiting.erase(key) > 0) {
      if (descriptors.empty()) {  // it never got its Load: nothing to take over
        zygote.link->kill();
        return;
      }
      auto scoreboard = Scoreboard::open(std::move(descriptors.front()));
      if (scoreboard) zygote.link->set_scoreboard(*std::move(scoreboard));
      descriptors.erase(descriptors.begin());
      adoption_->found.push_back({key, *hello, std::move(descriptors)});
    }
  }
  if (adoption_ != nullptr && std::holds_alternative<core::ZygoteGone>(event) &&
      adoption_->waiting.erase(key) > 0) {
    adoption_->lost.insert(key);
  }
  sink_(key, std::move(event));
}

std::unique_ptr<ZygoteLink> Runtime::make_link(core::RolloutKey key, Owner owner, PidRef process,
                                               message::Channel channel, ZygoteLink::Files files) {
  return std::make_unique<ZygoteLink>(
      poller_, std::move(owner), std::move(process), std::move(channel), std::move(files),
      [this, key](core::RolloutEvent event, std::vector<UniqueFd> descriptors) {
        on_event(key, std::move(event), std::move(descriptors));
      });
}

std::vector<Adopted> Runtime::adopt() {
  Adoption adoption;
  adoption_ = &adoption;
  for (const ControlFiles& files : list_control_files(paths_.zygotes())) adopt_one(files, adoption);
  auto wait = [&] {
    auto limit = std::chrono::steady_clock::now() + kAdoptTime;
    while (!adoption.waiting.empty() && std::chrono::steady_clock::now() < limit) {
      poller_.wait(limit);
    }
  };
  wait();
  for (core::RolloutKey key : adoption.waiting) zygotes_.at(key).link->end_zygote();
  wait();
  for (core::RolloutKey key : adoption.lost) {
    ZygoteLink& link = *zygotes_.at(key).link;
    if (link.workers() == 0) continue;
    Adopted& orphans = adoption.found.emplace_back();
    orphans.key = key;
    orphans.hello.app = link.owner().app;
    orphans.hello.rollout = link.owner().rollout;
    orphans.hello.workers = link.workers();
    orphans.listeners = link.borrow_listeners();
    orphans.orphaned = true;
  }
  adoption_ = nullptr;
  return std::move(adoption.found);
}

void Runtime::adopt_one(const ControlFiles& control, Adoption& adoption) {
  auto owner = read_owner(control);
  if (!owner) {
    remove_control_socket(control);
    return remove_owner(control);
  }
  core::RolloutKey key = new_key();
  auto process = open_owner(*owner);
  auto channel = connect_control_socket(control.socket);
  std::unique_ptr<ZygoteLink>& link = zygotes_[key].link;
  ZygoteLink::Files files{control, "", {}};
  adoption.waiting.insert(key);
  if (process && channel) {
    link = make_link(key, *owner, *std::move(process), *std::move(channel), std::move(files));
    return;
  }
  if (process) process->signal(SIGKILL);
  link = make_link(key, *owner, {}, {}, std::move(files));
  link->take_orphans();
}

void Runtime::fork_worker(core::RolloutKey key, core::WorkerId id) {
  zygotes_.at(key).link->send(message::Fork{id});
}

void Runtime::drain_worker(core::RolloutKey key, core::WorkerId id, int stop_signal) {
  zygotes_.at(key).link->drain_worker(id, stop_signal);
}

void Runtime::kill_worker(core::RolloutKey key, core::WorkerId id) {
  zygotes_.at(key).link->kill_worker(id);
}

bool Runtime::take_stacks(core::RolloutKey key, core::WorkerId id) {
  auto it = zygotes_.find(key);
  if (it == zygotes_.end() || !it->second.link->connected()) return false;
  it->second.link->send(message::TakeStacks{id});
  return true;
}

bool Runtime::cancel_request(core::RolloutKey key, core::WorkerId id, std::uint32_t number) {
  auto it = zygotes_.find(key);
  if (it == zygotes_.end() || !it->second.link->connected()) return false;
  it->second.link->send(message::CancelRequest{id, number});
  return true;
}

// A log that cannot be opened harms nobody: the keeper goes on trying.
void Runtime::give_access_log(Zygote& zygote, const std::string& app,
                              const message::Settings& settings) {
  if (!settings.access_log) return;
  auto files = open_logs(paths_.logs(app), true);
  if (files) zygote.link->send(message::Reopen{}, *std::move(files));
}

void Runtime::tune(core::RolloutKey key, const std::string& app,
                   const message::Settings& settings) {
  Zygote& zygote = zygotes_.at(key);
  give_access_log(zygote, app, settings);
  zygote.link->send(message::Tune{settings});
}

void Runtime::reopen(core::RolloutKey key, const std::vector<UniqueFd>& files) {
  auto it = zygotes_.find(key);
  if (it == zygotes_.end()) return;
  std::vector<UniqueFd> copies;
  for (const UniqueFd& file : files) {
    auto copy = duplicate(file.get());
    if (!copy) return;  // too many open files: they go on with what they have
    copies.push_back(*std::move(copy));
  }
  it->second.link->send(message::Reopen{}, std::move(copies));
}

std::shared_ptr<const Scoreboard> Runtime::scoreboard(core::RolloutKey key) const {
  auto it = zygotes_.find(key);
  return it == zygotes_.end() ? nullptr : it->second.link->scoreboard();
}

const LogLoss* Runtime::log_loss(core::RolloutKey key) const {
  const auto board = scoreboard(key);
  return board == nullptr ? nullptr : &board->log_loss();
}

void Runtime::take_turns(core::RolloutKey key, bool wanted) {
  if (const auto board = scoreboard(key)) board->header().take_turns.store(wanted ? 1 : 0);
}

void Runtime::tell_stage(core::RolloutKey key, const message::Stage& stage) {
  zygotes_.at(key).link->tell_stage(stage);
}

void Runtime::retire(core::RolloutKey key, int stop_signal) {
  zygotes_.at(key).link->retire(stop_signal);
}

void Runtime::kill(core::RolloutKey key) {
  auto it = zygotes_.find(key);  // none if it could not be spawned
  if (it != zygotes_.end()) it->second.link->kill();
}

bool Runtime::ended(core::RolloutKey key) const {
  auto it = zygotes_.find(key);
  return it == zygotes_.end() || it->second.link->ended();
}

void Runtime::forget(core::RolloutKey key) { zygotes_.erase(key); }

pid_t Runtime::zygote_pid(core::RolloutKey key) const {
  auto it = zygotes_.find(key);
  return it == zygotes_.end() ? 0 : it->second.link->pid();
}

std::string Runtime::log_tail(const std::string& app) const {
  return runtime::log_tail(paths_.logs(app).app);
}

const ScoreboardSlot* Runtime::figures(core::RolloutKey key, core::WorkerId id) const {
  const auto board = scoreboard(key);
  return board == nullptr || id >= kMaxSlots ? nullptr : &board->slot(id);
}

}  // namespace appd::runtime
