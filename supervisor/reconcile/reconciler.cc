// The loop of the core thread, and what each event means for an app.
#include "supervisor/reconcile/reconciler.h"

#include <algorithm>

#include "common/failpoint.h"
#include "supervisor/core/adoption.h"

namespace appd::reconcile {
namespace {

using std::chrono::steady_clock;
using std::chrono::system_clock;

core::Now now() { return {steady_clock::now(), system_clock::now()}; }

// Beyond every revision of an earlier life: a thousand changes a millisecond are never reached.
std::int64_t revision_base() {
  auto since_epoch = system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::milliseconds>(since_epoch).count() * 1000;
}

// What a zygote has told, for those who watch a rollout fall.
void pass_failpoint(const core::RolloutEvent& event) {
  if (std::holds_alternative<message::RunningOnce>(event)) failpoint("rollout.task");
  if (std::holds_alternative<message::Loaded>(event)) failpoint("rollout.loaded");
  if (std::holds_alternative<message::Forked>(event)) failpoint("worker.forked");
  if (std::holds_alternative<message::Ready>(event)) failpoint("worker.ready");
}

// A plan's actions call for the next plan; more rounds than this in one turn would be a bug.
constexpr int kMostRounds = 16;

// While the store cannot be written: how soon what has ended is tried again, and how much of it is
// kept meanwhile.
constexpr std::chrono::seconds kStoreAgain{5};
constexpr std::size_t kMostUnstored = 1'000;

template <typename T>
void keep_newest(std::vector<T>& all) {
  if (all.size() > kMostUnstored) {
    all.erase(all.begin(), all.end() - static_cast<std::ptrdiff_t>(kMostUnstored));
  }
}

}  // namespace

Result<std::unique_ptr<Reconciler>> Reconciler::create(std::unique_ptr<store::Store> store,
                                                       runtime::Paths paths,
                                                       std::shared_ptr<spdlog::logger> log) {
  auto poller = TRY(runtime::Poller::create());
  return std::unique_ptr<Reconciler>(
      new Reconciler(std::move(store), std::move(poller), std::move(paths), std::move(log)));
}

Reconciler::Reconciler(std::unique_ptr<store::Store> store, std::unique_ptr<runtime::Poller> poller,
                       runtime::Paths paths, std::shared_ptr<spdlog::logger> log)
    : store_(std::move(store)),
      poller_(std::move(poller)),
      log_(std::move(log)),
      hub_(std::make_shared<WatchHub>(revision_base())),
      runtime_(*poller_, std::move(paths),
               [this](core::RolloutKey key, core::RolloutEvent event) {
                 events_.emplace_back(key, std::move(event));
               }),
      meter_(runtime_.paths().ledger(), [logger = log_](const Error& error) {
        logger->warn("counters not kept, retrying why=\"{}\"", error.message);
      }) {}

Reconciler::~Reconciler() {
  if (checker_.joinable()) checker_.join();
}

Result<void> Reconciler::load() {
  for (model::AppRecord& record : TRY(store_->apps())) {
    std::string id = record.id;
    apps_[id].state.failed_rollout = record.failed_rollout;
    apps_[id].record = std::move(record);
    dirty_.insert(id);
  }
  book_.load(TRY(store_->operations()));
  TRY(load_last_deaths());
  TRY(load_tokens());
  TRY(start_log_threads());
  for (runtime::Adopted& adopted : runtime_.adopt()) adopt(std::move(adopted));
  for (auto& [id, app] : apps_) take_places(app);
  restore_tallies();
  begin_limits();
  return {};
}

// What an earlier appd left of an app goes on from where it was; the planner does the rest.
void Reconciler::take_places(AppEntry& app) {
  core::sort_out_adopted(app.record, app.state);
  for (auto& [key, rollout] : app.state.rollouts) {
    // Nobody who could hand the sockets over is left: they are free when these workers have gone.
    bool in_the_way = rollout.zygote_gone && app.listeners.empty() &&
                      !app.record.spec.bind.empty() && rollout.spec.bind == app.record.spec.bind;
    if (in_the_way) rollout.phase = core::RolloutPhase::Retiring;
    if (rollout.bake) app.gauge.emplace(rollout.bake->figures);
    log_->info("{} app={} rollout={} zygote_pid={} workers={}",
               rollout.phase == core::RolloutPhase::Retiring ? "rollout ends" : "rollout goes on",
               app.record.id, rollout.number, runtime_.zygote_pid(key), rollout.untold);
  }
}

// The zygote of an earlier appd, or what is left of its rollout without it.
void Reconciler::adopt(runtime::Adopted adopted) {
  auto it = apps_.find(adopted.hello.app);
  if (it == apps_.end()) {
    log_->warn("zygote of an unknown app, killing it app={} pid={}", adopted.hello.app,
               adopted.hello.pid);
    runtime_.kill(adopted.key);
    return;
  }
  AppEntry& app = it->second;
  core::Rollout& rollout = app.state.rollouts[adopted.key];
  rollout.number = adopted.hello.rollout;
  ++adopted_zygotes_;
  adopted_workers_ += static_cast<std::int32_t>(adopted.hello.workers);
  const bool older = rollout.number != app.record.rollout && app.record.last_good_spec;
  rollout.spec = older ? *app.record.last_good_spec : app.record.spec;
  rollout.settings = adopted.hello.settings;
  rollout.untold = adopted.hello.workers;
  rollout.zygote_gone = adopted.orphaned;
  core::take_up(adopted.hello.stage, rollout, steady_clock::now());
  app_of_[adopted.key] = app.record.id;
  auto listeners = runtime::ListenerSet::adopt(rollout.spec.bind, std::move(adopted.listeners));
  auto wanted = listeners.share(app.record.spec.bind);
  // A change of bind that is taken back finds them again.
  if (rollout.number == app.record.good_rollout && rollout.spec.bind != app.record.spec.bind) {
    app.former_listeners = std::move(listeners);
  }
  if (wanted.size() > app.listeners.size()) {
    app.listeners = std::move(wanted);
    set_socket_permissions(app);  // an earlier appd may have died before it did
  }
  // An earlier appd may have died in the middle of a rotation.
  keep_logs(app);
  keeper_->reopen(app.record.id, [] {});
}

void Reconciler::run() {
  bool stopped = false;
  while (!stopped) {
    turn();
    bool drained = std::all_of(apps_.begin(), apps_.end(), [](const auto& entry) {
      return entry.second.state.rollouts.empty();
    });
    stopped = leaving_ || (stops_seen_ > 0 && drained);
    if (!stopped) poller_->wait(next_deadline());
  }
  // Whoever calls from now on, or has just called, is to know that there will be no answer.
  std::vector<Call> calls;
  std::lock_guard lock(mutex_);
  ended_ = true;
  calls.swap(calls_);
}

void Reconciler::stop() {
  stops_.fetch_add(1);
  poller_->wake();
}

void Reconciler::leave() {
  leaving_ = true;
  poller_->wake();
}

void Reconciler::post(std::function<void()> call) { post({std::move(call), false}); }

void Reconciler::post_beside(std::function<void()> call) { post({std::move(call), true}); }

void Reconciler::post(Call call) {
  {
    std::lock_guard lock(mutex_);
    if (ended_) return;
    calls_.push_back(std::move(call));
  }
  poller_->wake();
}

void Reconciler::turn() {
  std::vector<Call> calls;
  {
    std::lock_guard lock(mutex_);
    calls.swap(calls_);
  }
  for (const Call& call : calls) {
    if (!call.beside) commit_staged();
    call.run();
  }
  commit_staged();
  // Beyond this point everything that was asked for is on disk, or refused.
  if (int stops = stops_.load(); stops != stops_seen_) {
    bool kill = stops > 1;
    stops_seen_ = stops;
    for (auto& [id, app] : apps_) {
      dirty_.insert(id);
      for (const auto& [key, rollout] : app.state.rollouts) {
        if (kill) runtime_.kill(key);
      }
    }
  }
  auto time = steady_clock::now();
  for (auto& [id, app] : apps_) {
    if (app.deadline && *app.deadline <= time) dirty_.insert(id);
  }
  // Events of events (a spawn that fails at once) are taken in the same turn.
  while (!events_.empty() || !dirty_.empty()) {
    for (const auto& [key, event] : std::exchange(events_, {})) on_event(key, event);
    for (const std::string& id : std::exchange(dirty_, {})) {
      auto it = apps_.find(id);
      if (it != apps_.end()) settle(it->second);
    }
  }
  if (!store_again_ || *store_again_ <= steady_clock::now()) store_changed();
  if (std::exchange(tallies_changed_, false)) meter_.keep(roster());
  waits_deadline_ = book_.expire_waits(steady_clock::now());
  auto stacks_deadline = expire_stacks(steady_clock::now());
  if (stacks_deadline && (!waits_deadline_ || *stacks_deadline < *waits_deadline_)) {
    waits_deadline_ = stacks_deadline;
  }
}

std::optional<core::Time> Reconciler::next_deadline() {
  std::optional<core::Time> next = waits_deadline_;
  if (store_again_ && (!next || *store_again_ < *next)) next = store_again_;
  for (const auto& [id, app] : apps_) {
    if (app.deadline && (!next || *app.deadline < *next)) next = app.deadline;
  }
  return next;
}

core::Desired Reconciler::desired(const AppEntry& app) const {
  core::Desired want = app.desired();
  // An appd that ends drains everything without forgetting that it is wanted.
  if (stops_seen_ > 0) want.spec.run_mode = model::RunMode::Stopped;
  return want;
}

void Reconciler::settle(AppEntry& app) {
  core::Desired want = desired(app);
  keep_logs(app);
  keep_limits(app);
  read_gauge(app);
  look_between_steps(app);
  sample(app);
  for (int round = 0;; ++round) {
    core::Plan plan = core::plan(want, app.state, steady_clock::now());
    app.deadline = plan.deadline;
    if (plan.actions.empty()) break;
    APPD_CHECK(round < kMostRounds);
    for (const core::Action& action : plan.actions) act(app, action);
  }
  spread_clients(app);
  if (auto coming = app.state.coming(); coming && app.state.find(*coming)->baking()) {
    tell_stage(app, *coming);
    failpoint("rollout.looked");
  }
  if (core::converged(want, app.state)) app.observed_generation = app.record.generation;
  update_operations(app);
  publish_app(app);
  if (app.record.deleting && core::converged(want, app.state)) remove_app(app);
}

void Reconciler::act(AppEntry& app, const core::Action& action) {
  core::Desired want = desired(app);
  core::RolloutKey new_key =
      std::holds_alternative<core::StartRollout>(action) ? runtime_.new_key() : core::RolloutKey{0};
  core::begin(action, want, app.state, new_key, now());
  std::visit(Overloaded{
                 [&](const core::OpenListeners&) { open_listeners(app); },
                 [&](const core::CloseListeners&) {
                   app.listeners.abandon({});
                   app.listeners = {};
                 },
                 [&](const core::StartRollout&) {
                   const core::Rollout& rollout = *app.state.find(new_key);
                   app_of_[new_key] = app.record.id;
                   app.limits.reset();  // perhaps something has removed the empty group
                   keep_limits(app);
                   log_->info("rollout starts app={} rollout={}", app.record.id, rollout.number);
                   runtime_.start(new_key, app.record.id, rollout, app.listeners);
                   failpoint("rollout.spawned");
                 },
                 [&](const core::ForkWorker& a) { runtime_.fork_worker(a.rollout, a.worker); },
                 [&](const core::DrainWorker& a) {
                   runtime_.drain_worker(a.rollout, a.worker,
                                         core::stop_signal_of(*app.state.find(a.rollout)));
                   failpoint("worker.draining");
                   publish_worker(app, a.rollout, a.worker);
                 },
                 [&](const core::RecycleWorker& a) {
                   log_->info("worker is due, replacing it app={} worker={} why={}", app.record.id,
                              a.worker, a.reason);
                   publish_worker(app, a.rollout, a.worker);
                 },
                 [&](const core::KillWorker& a) { runtime_.kill_worker(a.rollout, a.worker); },
                 [&](const core::TuneRollout& a) {
                   runtime_.tune(a.rollout, app.record.id, app.state.find(a.rollout)->settings);
                 },
                 [&](const core::Advance& a) {
                   if (a.phase == core::RolloutPhase::Switching) on_switching(app, a.rollout);
                   if (a.phase == core::RolloutPhase::Serving) on_serving(app);
                   tell_stage(app, a.rollout);
                   failpoint(a.phase == core::RolloutPhase::Serving ? "rollout.serving"
                                                                    : "rollout.switching");
                 },
                 [&](const core::BeginBake& a) {
                   app.gauge.emplace();
                   read_gauge(app);
                   tell_stage(app, a.rollout);
                   failpoint("rollout.baking");
                 },
                 [&](const core::AbandonRollout&) {},
                 [&](const core::RetireRollout& a) {
                   tallies_changed_ = true;  // how long its processes have run is known for now
                   runtime_.retire(a.rollout, core::stop_signal_of(*app.state.find(a.rollout)));
                   failpoint("rollout.retiring");
                   for (const auto& [id, worker] : app.state.find(a.rollout)->workers) {
                     publish_worker(app, a.rollout, id);
                   }
                 },
                 [&](const core::KillRollout& a) { runtime_.kill(a.rollout); },
                 [&](const core::FailRollout& a) {
                   on_rollout_failed(
                       app, core::fail(a.rollout, a.cause, a.message, "", app.state, now()));
                 },
             },
             action);
}

void Reconciler::open_listeners(AppEntry& app) {
  auto opened = runtime::ListenerSet::open(app.record.spec, app.listeners);
  if (opened) {
    app.listeners = *std::move(opened);
    return;
  }
  app.state.listening = false;
  app.state.starts.died(steady_clock::now(), std::nullopt);
  model::Failure failure{model::FailureCause::BindFailed, opened.error().message, "",
                         app.record.rollout, system_clock::now()};
  app.state.failure = failure;
  log_->warn("cannot listen, trying again app={} why=\"{}\"", app.record.id, failure.message);
  fail_operations(app, failure, false);
}

void Reconciler::set_socket_permissions(const AppEntry& app) {
  if (auto set = app.listeners.set_permissions(app.record.spec); !set) {
    log_->warn("socket keeps its mode and owner app={} why=\"{}\"", app.record.id,
               set.error().message);
  }
}

void Reconciler::on_event(core::RolloutKey key, const core::RolloutEvent& event) {
  auto it = app_of_.find(key);
  if (it == app_of_.end()) {
    if (runtime_.ended(key)) runtime_.forget(key);
    return;
  }
  AppEntry& app = apps_.at(it->second);
  pass_failpoint(event);
  if (const auto* taken = std::get_if<core::StacksTaken>(&event)) return answer_stacks(key, *taken);
  const std::optional<core::RolloutEvent> blamed = blame_limit(app, event);
  core::Consequences consequences = core::apply(blamed ? *blamed : event, key, app.state, now());
  for (core::WorkerId id : consequences.changed) publish_worker(app, key, id);
  for (auto& exit : consequences.exits) {
    certify(app, key, exit);
    publish_exit(app, key, exit);
  }
  for (const std::string& text : consequences.notes) note(app.record.id, text);
  if (consequences.ran_once) remember_run_once(app, key);
  if (consequences.rollout_failed) on_rollout_failed(app, *consequences.rollout_failed);
  if (consequences.trouble) {
    log_->warn("workers cannot be had, retrying app={} why=\"{}\"", app.record.id,
               consequences.trouble->message);
    fail_operations(app, *consequences.trouble, false);
  }
  forget_ended_rollouts(app);
  dirty_.insert(app.record.id);
}

void Reconciler::forget_ended_rollouts(AppEntry& app) {
  std::erase_if(app_of_, [&](const auto& entry) {
    if (entry.second != app.record.id || app.state.find(entry.first) != nullptr) return false;
    if (const auto board = runtime_.scoreboard(entry.first)) {
      app.tally.counts += board->counts();
      add_lost(board->log_loss(), app.tally);
      tallies_changed_ = true;
    }
    runtime_.forget(entry.first);
    failpoint("rollout.retired");
    return true;
  });
}

void Reconciler::on_rollout_failed(AppEntry& app, const model::Failure& failure) {
  ++app.tally.failures[static_cast<std::size_t>(failure.cause)];
  tallies_changed_ = true;
  bool serving = app.state.serving().has_value();
  log_->warn("rollout failed app={} rollout={} old_code_serves={} why=\"{}\"", app.record.id,
             failure.rollout, serving, failure.message);
  fail_operations(app, failure, serving);
  if (serving) roll_back_spec(app, failure);
}

// From now on no zygote of this rollout runs its tasks again.
void Reconciler::remember_run_once(AppEntry& app, core::RolloutKey key) {
  const core::Rollout* rollout = app.state.find(key);
  if (rollout == nullptr || rollout->number != app.record.rollout) return;
  if (app.record.run_once_rollout == rollout->number) return;
  app.record.run_once_rollout = rollout->number;
  store::Change change;
  change.put_app = app.record;
  if (auto stored = store_->commit(change, system_clock::now()); !stored) {
    log_->error("cannot store that run_once is done app={} why=\"{}\"", app.record.id,
                stored.error().message);
  }
}

void Reconciler::on_serving(AppEntry& app) {
  if (app.former_listeners) {
    std::exchange(app.former_listeners, std::nullopt)->abandon(app.listeners);
  }
  log_->info("rollout serves app={} rollout={} workers={}", app.record.id, app.record.rollout,
             app.record.spec.workers);
  if (app.record.last_good_spec == app.record.spec && app.record.failed_rollout == 0 &&
      app.record.good_rollout == app.record.rollout) {
    return;
  }
  failpoint("rollout.proved");
  app.record.last_good_spec = app.record.spec;
  app.record.good_rollout = app.record.rollout;
  app.record.failed_rollout = 0;
  store::Change change;
  change.put_app = app.record;
  if (auto stored = store_->commit(change, system_clock::now()); !stored) {
    log_->error("cannot store the last good spec app={} why=\"{}\"", app.record.id,
                stored.error().message);
  }
}

void Reconciler::update_operations(AppEntry& app) {
  core::Desired want = app.desired();
  bool done = stops_seen_ == 0 && core::converged(want, app.state);
  for (model::Operation* operation : book_.open(app.record.id)) {
    model::Operation before = *operation;
    operation->ready_workers = 0;
    operation->draining_workers = 0;
    for (const auto& [key, rollout] : app.state.rollouts) {
      bool wanted = rollout.phase != core::RolloutPhase::Retiring &&
                    (operation->rollout == 0 || rollout.number == operation->rollout);
      if (wanted) operation->ready_workers += rollout.ready();
      operation->draining_workers += rollout.draining();
    }
    operation->wanted_workers = want.running() ? want.spec.workers : 0;
    operation->phase = phase_of(app, want);
    operation->detail = done ? "" : detail_of(app, want, steady_clock::now());
    if (done) {
      book_.end(*operation, model::OperationPhase::Succeeded, "", std::nullopt,
                system_clock::now());
    }
    if (operation->phase != before.phase || operation->ready_workers != before.ready_workers ||
        operation->draining_workers != before.draining_workers ||
        operation->detail != before.detail) {
      publish_operation(*operation);
    }
  }
}

void Reconciler::fail_operations(AppEntry& app, const model::Failure& failure, bool rollouts_only) {
  for (model::Operation* operation : book_.open(app.record.id)) {
    if (rollouts_only && operation->rollout != failure.rollout) continue;
    auto serving = app.state.serving();
    operation->detail.clear();
    // Those that serve on.
    operation->ready_workers = serving ? app.state.find(*serving)->ready() : app.state.ready();
    auto phase = rollouts_only ? model::OperationPhase::RolledBack : model::OperationPhase::Failed;
    book_.end(*operation, phase, failure.message, failure, system_clock::now());
    publish_operation(*operation);
  }
}

void Reconciler::remove_app(AppEntry& app) {
  std::string id = app.record.id;
  store::Change change;
  change.remove_app = id;
  change.more_operations = book_.take_changed();
  change.audit = "removed " + id;
  if (auto stored = store_->commit(change, system_clock::now()); !stored) {
    log_->error("cannot forget the app app={} why=\"{}\"", id, stored.error().message);
  }
  book_.tell(change.more_operations);
  count_ended(change.more_operations);
  std::erase_if(deaths_, [&](const model::Death& death) { return death.app == id; });
  log_->info("app removed app={}", id);
  apps_.erase(id);
  keeper_->forget(id);
  runtime_.cgroups().remove(id);
  publish_removed(id, "apps/" + id);
}

void Reconciler::store_changed() {
  store::Change change;
  change.more_operations = book_.take_changed();
  change.deaths = std::exchange(deaths_, {});
  store_again_.reset();
  if (!store_->settled()) store_again_ = steady_clock::now() + kStoreAgain;
  if (change.more_operations.empty() && change.deaths.empty()) return;
  if (!change.more_operations.empty()) failpoint("operation.ended");
  auto stored = store_->commit(change, system_clock::now());
  if (!change.more_operations.empty()) failpoint("operation.stored");
  book_.tell(change.more_operations);
  if (stored) return count_ended(change.more_operations);
  log_->error("cannot store how operations and workers ended, trying again why=\"{}\"",
              stored.error().message);
  keep_newest(change.more_operations);
  keep_newest(change.deaths);
  book_.give_back(std::move(change.more_operations));
  deaths_ = std::move(change.deaths);
  store_again_ = steady_clock::now() + kStoreAgain;
}

}  // namespace appd::reconcile
