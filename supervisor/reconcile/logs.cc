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

void Reconciler::reopen_logs(std::string app, Reply<std::int32_t> reply) {
  post([this, app = std::move(app), reply = std::move(reply)] {
    if (!app.empty() && !apps_.contains(app)) return reply(app_not_found(app));
    const auto count = app.empty() ? static_cast<std::int32_t>(apps_.size()) : 1;
    log_->info("logs are reopened app={}", app.empty() ? "all" : app);
    // Back on this thread behind the new files, which are then on their way to the zygotes.
    keeper_->reopen(app, [this, reply, count] { post([reply, count] { reply(count); }); });
  });
}

}  // namespace appd::reconcile
