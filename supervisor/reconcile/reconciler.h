// Reconciler: the core thread. Calls and events come in, the planner decides, the runtime acts, and
// what changed is published.
#pragma once

#include <spdlog/logger.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "supervisor/reconcile/app_entry.h"
#include "supervisor/reconcile/control.h"
#include "supervisor/reconcile/meter.h"
#include "supervisor/reconcile/operation_book.h"
#include "supervisor/reconcile/watch_hub.h"
#include "supervisor/runtime/succession.h"
#include "supervisor/store/store.h"

namespace appd::reconcile {

Error app_not_found(const std::string& id);
Error shutting_down();
// What goes to the store with a change, so that a repeat of its call is answered from it: the app
// and the operation that it was about. Nothing of a call without a request_id.
std::optional<store::Change::Request> answered_by(const CallOptions& options, std::string app,
                                                  std::string operation);
// "scaled web by uid 0 pid 42 user root (release 42)": what the audit keeps of a call.
std::string audit_line(const std::string& words, const CallOptions& options);

// The Control calls may come from any thread: they are posted. Everything else happens on the
// thread that calls run(). Owns the store, the runtime and all state of apps.
class Reconciler : public Control {
 public:
  static Result<std::unique_ptr<Reconciler>> create(std::unique_ptr<store::Store> store,
                                                    runtime::Paths paths,
                                                    std::shared_ptr<spdlog::logger> log);
  ~Reconciler() override;

  // Reads the store and takes over what an earlier appd left. Before run().
  Result<void> load();
  // Until stop() has been called and every app is drained.
  void run();
  // Any thread. The first call drains the apps, the second kills what is left.
  void stop();
  // Any thread. run() ends at once, and the apps serve on for the next appd.
  void leave();

  // What upgrade() needs, and what there is of the appd before. Between load() and run().
  void prepare_succession(runtime::Invocation self, runtime::Legacy legacy);
  void note_succession(const runtime::Inheritance& inherited);

  void create_app(CreateApp request, Reply<model::AppView> reply) override;
  void update_app(UpdateApp request, Reply<model::AppView> reply) override;
  void reload_app(ReloadApp request, Reply<model::Operation> reply) override;
  void delete_app(DeleteApp request, Reply<model::Operation> reply) override;
  void rollback_app(RollbackApp request, Reply<model::Operation> reply) override;
  void snapshot(model::AppScope scope, Reply<Snapshot> reply) override;
  void deaths(model::AppScope scope, Reply<std::vector<model::Death>> reply) override;
  void measure(std::optional<std::string> app,
               Reply<std::shared_ptr<const model::Measurement>> reply) override;
  void dump_stacks(std::string app, std::int32_t worker, Reply<WorkerStacks> reply) override;
  void recycle_worker(RecycleWorker request, Reply<model::WorkerView> reply) override;
  void backup_state(BackupState request, Reply<BackupMade> reply) override;
  void restore_state(RestoreState request, Reply<std::vector<model::AppView>> reply) override;
  void requests(model::AppScope scope, Reply<model::RequestsView> reply) override;
  void cancel_request(CancelRequest request, Reply<model::RequestView> reply) override;
  void operation(std::string id, Reply<model::Operation> reply) override;
  void operations(model::AppScope scope, Reply<std::vector<model::Operation>> reply) override;
  void cancel_operation(CancelOperation request, Reply<model::Operation> reply) override;
  void revisions(std::string app, Reply<std::vector<model::Revision>> reply) override;
  void wait_operation(std::string id, std::chrono::steady_clock::time_point deadline,
                      Reply<model::Operation> reply) override;
  Result<std::unique_ptr<Subscription>> subscribe(std::int64_t from, model::AppScope scope,
                                                  std::function<void()> wake) override;
  void read_logs(std::string app, core::LogQuery query, runtime::LogReader::Deliver deliver,
                 Reply<std::shared_ptr<LogReading>> reply) override;
  void reopen_logs(ReopenLogs request, Reply<std::int32_t> reply) override;
  void set_log_level(SetLogLevel request, Reply<spdlog::level::level_enum> reply) override;
  void upgrade(Upgrade request, Reply<Upgraded> reply) override;
  void shutdown(Shutdown request, Reply<ShuttingDown> reply) override;
  void create_token(CreateToken request, Reply<model::Token> reply) override;
  void delete_token(DeleteToken request, Reply<std::string> reply) override;
  std::shared_ptr<const std::vector<model::Token>> tokens() const override;
  std::int64_t revision() const override { return hub_->revision(); }
  std::int64_t oldest_revision() const override { return hub_->oldest_revision(); }
  void count_call(const std::string& method, const std::string& code) override;

 private:
  Reconciler(std::unique_ptr<store::Store> store, std::unique_ptr<runtime::Poller> poller,
             runtime::Paths paths, std::shared_ptr<spdlog::logger> log);
  // A call that is run when what was asked for before it has been done.
  void post(std::function<void()> call);
  // One that may be run while changes wait for the disk: it only reads, or joins them (make_room).
  void post_beside(std::function<void()> call);

  // What a change comes to, for those who look back, and for memory.
  struct Deed {
    std::string words;           // "created web"
    bool supersede_all = false;  // nothing of what is on its way matters any more
    bool revises = true;         // writes a revision: spec or rollout are others
    std::int64_t restores = 0;   // the revision whose spec comes back
    std::optional<runtime::ListenerSet> listeners{};  // opened for it
    bool socket_permissions = false;                  // are others
    bool other_mode = false;                          // starts or stops the app
  };
  // A change that was found good and is to be committed, with others that wait at the same time.
  struct Staged {
    AppEntry* app;
    store::Change change;
    Deed deed;
    // Called once: when memory has followed the disk, or with the reason why it has not.
    std::function<void(const std::optional<Rejection>&)> done;
  };

  // changes.cc: calls are checked, committed, merged, and answered.
  Answer<model::AppView> do_create(const CreateApp& request);
  void do_update(const UpdateApp& request, const Reply<model::AppView>& reply);
  void do_reload(const ReloadApp& request, const Reply<model::Operation>& reply);
  void do_delete(const DeleteApp& request, const Reply<model::Operation>& reply);
  template <typename T>
  std::optional<Answer<T>> replayed(const CallOptions& options,
                                    const std::function<T(const store::Replay&)>& answer);
  model::AppView replayed_view(const store::Replay& replay) const;
  model::Operation replayed_operation(const store::Replay& replay) const;
  void record(const std::string& words, const CallOptions& options, int answer);
  std::optional<Rejection> check_spec(const std::string& id, const model::AppSpec& spec,
                                      const std::vector<model::Violation>& unreadable = {});
  bool is_there(const model::AppScope& scope) const;
  std::optional<Rejection> check_edit(const AppEntry* app, const std::string& id,
                                      const CallOptions& options);
  void make_room(const std::string& app, const CallOptions& options);
  void stage(AppEntry& app, model::AppRecord record, model::Operation operation,
             const CallOptions& options, Deed deed,
             std::function<void(const std::optional<Rejection>&)> done);
  std::function<void(const std::optional<Rejection>&)> answer_with(
      const std::string& operation, const Reply<model::Operation>& reply);
  void commit_staged();
  void merge(Staged& staged);
  // An edit of a spec on its way into effect.
  struct Edit {
    model::AppSpec spec;
    model::OperationKind kind;
    bool always_rollout = false;  // although nothing in the spec calls for one
    std::int64_t restores = 0;
    std::vector<model::Violation> unreadable{};  // what was wanted besides
  };
  void edit_spec(AppEntry& app, Edit edit, const CallOptions& options,
                 const Reply<model::AppView>& reply);

  // rollback.cc: back to what was, asked for or not.
  void do_rollback(const RollbackApp& request, const Reply<model::Operation>& reply);
  Answer<model::Operation> do_cancel(const CancelOperation& request);
  void roll_back_spec(AppEntry& app, const model::Failure& failure);
  model::AppRecord refuse(const AppEntry& app, std::int64_t rollout, model::Revision because,
                          store::Change& change);
  void take_back(AppEntry& app, model::AppRecord record);
  void take_back_revision(model::AppRecord& record, model::Revision& revision);

  // backup.cc: the state as a whole.
  struct Restoring;
  std::optional<Rejection> check_restored(Restoring& restoring);
  Answer<std::vector<model::AppView>> do_restore(const RestoreState& request);
  void begin_restored(Restoring& restoring);

  // reconciler.cc: the loop.
  void turn();
  void settle(AppEntry& app);
  core::Desired desired(const AppEntry& app) const;
  void act(AppEntry& app, const core::Action& action);
  void open_listeners(AppEntry& app);
  void set_socket_permissions(const AppEntry& app);
  void on_event(core::RolloutKey key, const core::RolloutEvent& event);
  void on_rollout_failed(AppEntry& app, const model::Failure& failure);
  void remember_run_once(AppEntry& app, core::RolloutKey key);
  void on_serving(AppEntry& app);
  void update_operations(AppEntry& app);
  void fail_operations(AppEntry& app, const model::Failure& failure, bool rollouts_only);
  void forget_ended_rollouts(AppEntry& app);
  void remove_app(AppEntry& app);
  void store_changed();
  std::optional<core::Time> next_deadline();
  void adopt(runtime::Adopted adopted);
  void take_places(AppEntry& app);
  void tell_stage(const AppEntry& app, core::RolloutKey key);

  // rollouts.cc: what a rollout is decided by.
  void read_gauge(AppEntry& app);
  void on_switching(AppEntry& app, core::RolloutKey key);
  void look_at_memory(AppEntry& app, core::Rollout& rollout);
  void look_between_steps(AppEntry& app);
  void spread_clients(const AppEntry& app);
  void note_bake(const AppEntry& app, const core::Rollout& rollout);

  // deaths.cc: the certificates of workers that ended.
  Result<void> load_last_deaths();
  void certify(AppEntry& app, core::RolloutKey key, core::Consequences::Exit& exit);
  void note_cut(AppEntry& app, core::RolloutKey key, const core::Consequences::Exit& exit);

  // logs.cc: what the keeper is told, and what it says.
  Result<void> start_log_threads();
  void keep_logs(AppEntry& app);
  void on_logs_renewed(const std::string& app, const std::vector<UniqueFd>& files);

  // limits.cc: the limits of memory, CPU and pids that the kernel keeps.
  void begin_limits();
  void keep_limits(AppEntry& app);
  // Whether limit_pids has refused the app something that no failure was told with; with this one
  // go all of those, or only the first.
  bool take_refused_pids(AppEntry& app, bool all);
  // The event with the limit that may have brought it about; nothing when none has.
  std::optional<core::RolloutEvent> blame_limit(AppEntry& app, const core::RolloutEvent& event);
  void judge_limits(AppEntry& app, model::Death& death);

  // workers.cc: what is asked of one worker, and what it is measured by.
  struct Place {
    AppEntry* app = nullptr;
    core::RolloutKey rollout = 0;
    core::Worker* worker = nullptr;
  };
  Answer<Place> find_worker(const std::string& app, std::int32_t worker);
  Answer<model::WorkerView> do_recycle(const RecycleWorker& request);
  void answer_stacks(core::RolloutKey key, const core::StacksTaken& taken);
  std::optional<core::Time> expire_stacks(core::Time now);
  void sample(AppEntry& app);

  // succession.cc: how this appd ends, or becomes another.
  void begin_upgrade(const Upgrade& request, Reply<Upgraded> reply);
  void finish_upgrade(const Upgrade& request, const runtime::Invocation& next,
                      Result<std::string> checked, const Reply<Upgraded>& reply);
  Answer<ShuttingDown> do_shutdown(const Shutdown& request);
  Upgraded upgraded_from(const std::string& version) const;
  bool ending() const { return stops_seen_ > 0 || leaving_; }

  // measure.cc: what the meter is to read, and what it has kept.
  Roster roster();
  void restore_tallies();
  void keep_tallies();
  void count_ended(const std::vector<model::Operation>& stored);

  // requests.cc: what workers have in hand.
  model::RequestsView requests_of(const AppEntry& app, core::RolloutKey key, core::WorkerId id,
                                  const core::Worker& worker, core::Time now) const;

  // tokens.cc
  Result<void> load_tokens();
  void set_tokens(std::vector<model::Token> tokens);
  Answer<model::Token> do_create_token(const CreateToken& request);
  Answer<std::string> do_delete_token(const DeleteToken& request);
  Result<void> commit_tokens(store::Change change, const std::string& words, const std::string& id,
                             const CallOptions& options);

  // publish.cc: what watchers and the log see.
  void publish(const std::string& app, decltype(model::Event::what) what);
  void publish_app(AppEntry& app);
  void publish_operation(const model::Operation& operation);
  void publish_worker(AppEntry& app, core::RolloutKey key, core::WorkerId id);
  void publish_exit(AppEntry& app, core::RolloutKey key, const core::Consequences::Exit& exit);
  void publish_removed(const std::string& app, std::string name);
  void note(const std::string& app, const std::string& text);

  std::unique_ptr<store::Store> store_;
  std::unique_ptr<runtime::Poller> poller_;
  std::shared_ptr<spdlog::logger> log_;
  std::shared_ptr<WatchHub> hub_;
  runtime::Runtime runtime_;
  std::map<std::string, AppEntry> apps_;
  std::map<core::RolloutKey, std::string> app_of_;
  OperationBook book_;
  std::vector<Staged> staged_;             // of this turn; one of an app at most
  std::vector<model::Death> deaths_;       // to be stored at the end of the turn
  std::optional<core::Time> store_again_;  // when what could not be stored is tried again
  std::set<std::string> dirty_;            // apps to plan anew
  std::vector<std::pair<core::RolloutKey, core::RolloutEvent>> events_;
  struct StacksWait {
    core::RolloutKey rollout;
    core::WorkerId worker;
    std::int32_t pid;
    core::Time deadline;
    Reply<WorkerStacks> reply;
  };
  std::vector<StacksWait> stacks_waits_;
  std::optional<core::Time> waits_deadline_;

  mutable std::mutex tokens_mutex_;  // guards tokens_
  std::shared_ptr<const std::vector<model::Token>> tokens_;

  std::mutex mutex_;  // guards calls_ and ended_
  bool ended_ = false;
  struct Call {
    std::function<void()> run;
    bool beside;  // changes that wait for the disk
  };
  void post(Call call);
  std::vector<Call> calls_;
  std::atomic<bool> leaving_ = false;
  std::atomic<int> stops_ = 0;
  int stops_seen_ = 0;
  runtime::Invocation self_;
  runtime::Legacy legacy_;
  std::int32_t adopted_zygotes_ = 0;
  std::int32_t adopted_workers_ = 0;
  std::thread checker_;  // of the next binary
  std::unique_ptr<runtime::LogReader> reader_;
  std::unique_ptr<runtime::LogKeeper> keeper_;  // its thread posts to us: it ends first
  bool tallies_changed_ = false;                // the meter is to keep them
  std::mutex calls_mutex_;                      // guards api_calls_
  model::CallCounts api_calls_;
  Meter meter_;
};

}  // namespace appd::reconcile
