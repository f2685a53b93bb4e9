// A core without processes: it remembers what it was asked, and answers as the test has told it.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "supervisor/reconcile/control.h"
#include "supervisor/reconcile/watch_hub.h"

namespace appd::api {

// Any thread, under one lock; replies at once, but for wait_operation(), whose replies are kept.
// Events go through the core's real hub.
class FakeControl final : public reconcile::Control {
 public:
  template <typename T>
  using Reply = reconcile::Reply<T>;

  // What the core would hold.
  reconcile::Snapshot state;
  std::vector<model::Operation> book;           // newest first
  std::vector<model::Revision> history;         // newest first
  std::vector<model::Death> dead;               // by app, newest first
  std::atomic<int> measured = 0;                // how often
  std::optional<reconcile::Rejection> refusal;  // of every call
  std::shared_ptr<reconcile::WatchHub> hub = std::make_shared<reconcile::WatchHub>(100);

  // What it was asked last.
  std::optional<reconcile::CreateApp> created;
  std::optional<reconcile::UpdateApp> updated;
  std::optional<reconcile::ReloadApp> reloaded;
  std::optional<reconcile::DeleteApp> deleted;
  std::optional<reconcile::RollbackApp> rolled_back;
  std::optional<std::string> backed_up;
  std::optional<reconcile::RestoreState> restored;
  std::optional<reconcile::CancelOperation> cancelled;
  std::optional<reconcile::RecycleWorker> recycled;

  model::RequestsView in_hand;
  std::optional<reconcile::CancelRequest> cancelled_request;
  std::optional<reconcile::ReopenLogs> reopened;
  std::optional<reconcile::SetLogLevel> log_level;
  std::optional<reconcile::Upgrade> upgrade_to;
  std::optional<reconcile::Shutdown> shut_down;
  std::optional<core::LogQuery> asked_logs;
  // Logs are read as they are; set both before.
  std::string logs_dir;
  std::unique_ptr<runtime::LogReader> log_reader;
  struct Wait {
    std::string id;
    std::chrono::steady_clock::time_point deadline;
    Reply<model::Operation> reply;
  };

  void create_app(reconcile::CreateApp request, Reply<model::AppView> reply) override {
    created = request;
    model::AppView app;
    app.record.id = request.id;
    app.record.spec = request.spec;
    answer(reply, app);
  }
  void update_app(reconcile::UpdateApp request, Reply<model::AppView> reply) override {
    updated = request;
    model::AppView app;
    for (const model::AppView& known : state.apps) {
      if (known.record.id == request.id) app = known;
    }
    app.record.id = request.id;
    request.edit(app.record.spec);
    if (!book.empty()) app.record.operation = book.front().id;
    answer(reply, app);
  }
  void reload_app(reconcile::ReloadApp request, Reply<model::Operation> reply) override {
    reloaded = request;
    answer(reply, book.front());
  }
  void rollback_app(reconcile::RollbackApp request, Reply<model::Operation> reply) override {
    rolled_back = request;
    answer(reply, book.empty() ? model::Operation{} : book.front());
  }
  void delete_app(reconcile::DeleteApp request, Reply<model::Operation> reply) override {
    deleted = request;
    answer(reply, book.empty() ? model::Operation{} : book.front());
  }
  void snapshot(model::AppScope scope, Reply<reconcile::Snapshot> reply) override {
    if (refusal) return reply(*refusal);
    reconcile::Snapshot out = state;
    out.revision = hub->revision();
    std::erase_if(out.apps, [&](const auto& view) { return !scope.holds(view.record.id); });
    std::erase_if(out.workers, [&](const auto& view) { return !scope.holds(view.app); });
    if (!scope.app.empty() && out.apps.empty()) {
      return reply(Error{ErrorCode::NotFound, "APP_NOT_FOUND", "there is no app " + scope.app});
    }
    reply(std::move(out));
  }
  void deaths(model::AppScope scope, Reply<std::vector<model::Death>> reply) override {
    std::vector<model::Death> out = dead;
    std::erase_if(out, [&](const auto& death) { return !scope.holds(death.app); });
    answer(reply, out);
  }
  void measure(std::optional<std::string> app,
               Reply<std::shared_ptr<const model::Measurement>> reply) override {
    if (refusal) return reply(*refusal);
    auto out = std::make_shared<model::Measurement>();
    {
      const std::lock_guard lock(mutex_);
      *out = measurement_;
    }
    if (app) {
      std::erase_if(out->apps, [&](const auto& each) { return each.id != *app; });
      std::erase_if(out->workers, [&](const auto& each) { return each.view.app != *app; });
    }
    ++measured;
    reply(std::shared_ptr<const model::Measurement>(std::move(out)));
  }
  void dump_stacks(std::string app, std::int32_t worker,
                   Reply<reconcile::WorkerStacks> reply) override {
    answer(reply, reconcile::WorkerStacks{worker, "stacks of " + app});
  }
  void backup_state(reconcile::BackupState request, Reply<reconcile::BackupMade> reply) override {
    backed_up = request.path;
    answer(reply, reconcile::BackupMade{4096, 7, 2});
  }
  void restore_state(reconcile::RestoreState request,
                     Reply<std::vector<model::AppView>> reply) override {
    restored = request;
    answer(reply, state.apps);
  }
  void recycle_worker(reconcile::RecycleWorker request, Reply<model::WorkerView> reply) override {
    recycled = request;
    for (const model::WorkerView& known : state.workers) {
      if (known.app == request.app && known.id == request.worker) return answer(reply, known);
    }
    reply(Error{ErrorCode::NotFound, "WORKER_NOT_FOUND", "there is none"});
  }
  void requests(model::AppScope scope, Reply<model::RequestsView> reply) override {
    model::RequestsView out = in_hand;
    std::erase_if(out.named, [&](const auto& request) { return !scope.holds(request.app); });
    answer(reply, out);
  }
  void cancel_request(reconcile::CancelRequest request, Reply<model::RequestView> reply) override {
    cancelled_request = request;
    answer(reply, in_hand.named.front());
  }
  void operation(std::string id, Reply<model::Operation> reply) override {
    for (const model::Operation& known : book) {
      if (known.id == id) return answer(reply, known);
    }
    reply(Error{ErrorCode::NotFound, "OPERATION_NOT_FOUND", "there is no operations/" + id});
  }
  void operations(model::AppScope scope, Reply<std::vector<model::Operation>> reply) override {
    std::vector<model::Operation> out = book;
    std::erase_if(out, [&](const auto& o) { return !scope.holds(o.app); });
    answer(reply, out);
  }
  void cancel_operation(reconcile::CancelOperation request,
                        Reply<model::Operation> reply) override {
    cancelled = request;
    answer(reply, book.front());
  }
  void revisions(std::string app, Reply<std::vector<model::Revision>> reply) override {
    std::vector<model::Revision> out = history;
    std::erase_if(out, [&](const auto& each) { return each.app != app; });
    answer(reply, out);
  }
  void wait_operation(std::string id, std::chrono::steady_clock::time_point deadline,
                      Reply<model::Operation> reply) override {
    const std::lock_guard lock(mutex_);
    waits_.push_back({std::move(id), deadline, std::move(reply)});
    asked_.notify_all();
  }
  Result<std::unique_ptr<reconcile::Subscription>> subscribe(std::int64_t from,
                                                             model::AppScope scope,
                                                             std::function<void()> wake) override {
    auto inner = hub->subscribe(from, std::move(scope), std::move(wake));
    if (!inner) return std::move(inner).error();
    const std::lock_guard lock(mutex_);
    ++subscriptions_;
    asked_.notify_all();
    return std::unique_ptr<reconcile::Subscription>(new Counted(*this, *std::move(inner)));
  }
  void read_logs(std::string app, core::LogQuery query, runtime::LogReader::Deliver deliver,
                 Reply<std::shared_ptr<reconcile::LogReading>> reply) override {
    asked_logs = query;
    if (refusal) return reply(*refusal);
    const std::string path = logs_dir + "/" + app;
    reply(std::shared_ptr<reconcile::LogReading>(
        log_reader->read({path + ".log", path + ".access.log"}, std::move(query), deliver)));
  }
  void reopen_logs(reconcile::ReopenLogs request, Reply<std::int32_t> reply) override {
    reopened = request;
    answer(reply, std::int32_t{2});
  }
  void set_log_level(reconcile::SetLogLevel request,
                     Reply<spdlog::level::level_enum> reply) override {
    log_level = request;
    answer(reply, spdlog::level::warn);
  }
  void upgrade(reconcile::Upgrade request, Reply<reconcile::Upgraded> reply) override {
    upgrade_to = request;
    answer(reply, reconcile::Upgraded{"0.1.0", "0.2.0", 42, 3, 12});
  }
  void shutdown(reconcile::Shutdown request, Reply<reconcile::ShuttingDown> reply) override {
    shut_down = request;
    answer(reply, reconcile::ShuttingDown{2, 7});
  }
  void create_token(reconcile::CreateToken request, Reply<model::Token> reply) override {
    if (refusal) return reply(*refusal);
    set_tokens({request.token});
    reply(request.token);
  }
  void delete_token(reconcile::DeleteToken request, Reply<std::string> reply) override {
    if (refusal) return reply(*refusal);
    set_tokens({});
    reply(request.id);
  }
  std::shared_ptr<const std::vector<model::Token>> tokens() const override {
    const std::lock_guard lock(mutex_);
    return tokens_;
  }
  void set_tokens(std::vector<model::Token> tokens) {
    const std::lock_guard lock(mutex_);
    tokens_ = std::make_shared<const std::vector<model::Token>>(std::move(tokens));
  }
  std::int64_t revision() const override { return hub->revision(); }
  std::int64_t oldest_revision() const override { return hub->oldest_revision(); }
  void count_call(const std::string& method, const std::string& code) override {
    const std::lock_guard lock(mutex_);
    ++calls_[{method, code}];
  }
  void set_measurement(model::Measurement measurement) {
    const std::lock_guard lock(mutex_);
    measurement_ = std::move(measurement);
  }
  // What came by count_call().
  model::CallCounts calls() {
    const std::lock_guard lock(mutex_);
    return calls_;
  }

  // The next call of wait_operation(); waits for it.
  Wait take_wait() {
    std::unique_lock lock(mutex_);
    const bool came = asked_.wait_for(lock, kPatience, [&] { return !waits_.empty(); });
    APPD_CHECK(came);
    Wait wait = std::move(waits_.back());
    waits_.pop_back();
    return wait;
  }
  // Waits until there are so many.
  bool reaches_subscriptions(int count) {
    std::unique_lock lock(mutex_);
    return asked_.wait_for(lock, kPatience, [&] { return subscriptions_ == count; });
  }

 private:
  static constexpr std::chrono::seconds kPatience{10};

  class Counted final : public reconcile::Subscription {
   public:
    Counted(FakeControl& owner, std::unique_ptr<Subscription> inner)
        : owner_(owner), inner_(std::move(inner)) {}
    ~Counted() override {
      inner_.reset();
      const std::lock_guard lock(owner_.mutex_);
      --owner_.subscriptions_;
      owner_.asked_.notify_all();
    }
    Result<std::vector<model::EventPtr>> next(std::size_t limit) override {
      return inner_->next(limit);
    }

   private:
    FakeControl& owner_;
    std::unique_ptr<Subscription> inner_;
  };

  template <typename T>
  void answer(const Reply<T>& reply, const T& value) {
    if (refusal) {
      reply(*refusal);
    } else {
      reply(value);
    }
  }

  mutable std::mutex mutex_;
  std::shared_ptr<const std::vector<model::Token>> tokens_ =
      std::make_shared<const std::vector<model::Token>>();
  std::condition_variable asked_;
  std::vector<Wait> waits_;
  model::CallCounts calls_;
  model::Measurement measurement_;
  int subscriptions_ = 0;
};

}  // namespace appd::api
