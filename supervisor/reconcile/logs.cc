// The logs of apps as the core thread sees them: it says how they are to be kept, and hands new
// files on to the zygotes.
#include "supervisor/reconcile/reconciler.h"

namespace appd::reconcile {

Result<void> Reconciler::start_log_threads() {
  runtime::LogKeeper::Handlers handlers;
  handlers.renewed = [this](std::string app, std::vector<UniqueFd> files) {
    auto shared = std::make_shared<std::vector<UniqueFd>>(std::move(files));
    post([this, app = std::move(app), shared] { on_logs_renewed(app, *shared); });
  };
  handlers.failed = [this](std::string app, Error error) {
    post([this, app = std::move(app), error = std::move(error)] {
      log_->warn("log not rotated, retrying app={} why=\"{}\"", app, error.message);
    });
  };
  keeper_ = TRY(runtime::LogKeeper::start(runtime_.paths().logs_dir(), std::move(handlers)));
  reader_ = TRY(runtime::LogReader::start(runtime_.paths().logs_dir()));
  return {};
}

void Reconciler::keep_logs(AppEntry& app) {
  const model::AppSpec& spec = app.record.spec;
  runtime::KeptLogs logs{runtime_.paths().logs(app.record.id),
                         {spec.log_max_size, spec.log_max_age, spec.log_keep},
                         spec.access_log};
  if (app.kept_logs == logs) return;
  app.kept_logs = logs;
  keeper_->keep(app.record.id, std::move(logs));
}

void Reconciler::on_logs_renewed(const std::string& app, const std::vector<UniqueFd>& files) {
  auto it = apps_.find(app);
  if (it == apps_.end()) return;
  for (const auto& [key, rollout] : it->second.state.rollouts) runtime_.reopen(key, files);
}

void Reconciler::read_logs(std::string app, core::LogQuery query,
                           runtime::LogReader::Deliver deliver,
                           Reply<std::shared_ptr<LogReading>> reply) {
  post([this, app = std::move(app), query = std::move(query), deliver = std::move(deliver),
        reply = std::move(reply)] {
    if (!apps_.contains(app)) return reply(app_not_found(app));
    reply(std::shared_ptr<LogReading>(reader_->read(runtime_.paths().logs(app), query, deliver)));
  });
}

// Both are what one does when the disk is full: they are done though no record of them can be kept.
void Reconciler::record(const std::string& words, const CallOptions& options, int answer) {
  store::Change change;
  change.audit = audit_line(words, options);
  change.request = answered_by(options, "", std::to_string(answer));
  if (auto stored = store_->commit(change, std::chrono::system_clock::now()); !stored) {
    log_->error("cannot store a record, going on what=\"{}\" why=\"{}\"", change.audit,
                stored.error().message);
  }
  log_->info("change accepted what=\"{}\"", change.audit);
}

void Reconciler::reopen_logs(ReopenLogs request, Reply<std::int32_t> reply) {
  post([this, request = std::move(request), reply = std::move(reply)] {
    const std::string& app = request.app;
    const auto replay = replayed<std::int32_t>(
        request.options, [](const store::Replay& first) { return std::stoi(first.operation); });
    if (replay) return reply(*replay);
    if (!app.empty() && !apps_.contains(app)) return reply(app_not_found(app));
    const auto count = app.empty() ? static_cast<std::int32_t>(apps_.size()) : 1;
    record("reopened the logs of " + (app.empty() ? "all apps" : app), request.options, count);
    // Back on this thread behind the new files, which are then on their way to the zygotes.
    keeper_->reopen(app, [this, reply, count] { post([reply, count] { reply(count); }); });
  });
}

void Reconciler::set_log_level(SetLogLevel request, Reply<spdlog::level::level_enum> reply) {
  post([this, request = std::move(request), reply = std::move(reply)] {
    using Level = spdlog::level::level_enum;
    const auto replay = replayed<Level>(request.options, [](const store::Replay& first) {
      return static_cast<Level>(std::stoi(first.operation));
    });
    if (replay) return reply(*replay);
    const Level before = log_->level();
    const auto name = [](Level level) { return std::string(to_string_view(level).data()); };
    record("log level changed from " + name(before) + " to " + name(request.level), request.options,
           before);
    log_->set_level(request.level);
    reply(before);
  });
}

}  // namespace appd::reconcile
