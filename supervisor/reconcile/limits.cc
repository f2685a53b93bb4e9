// The limits of memory, CPU and pids that the kernel keeps: written when they change, and asked
// when something has failed that they may have brought about.
#include "supervisor/core/autopsy.h"
#include "supervisor/core/shortage.h"
#include "supervisor/reconcile/reconciler.h"

namespace appd::reconcile {
namespace {

// Whether the kernel has counted more than was told of. Now all is told, or one more.
bool take(std::optional<std::int64_t> counted, std::int64_t& told, bool all) {
  if (!counted || *counted <= told) return false;
  told = all ? *counted : told + 1;
  return true;
}

}  // namespace

void Reconciler::begin_limits() {
  const runtime::Cgroups& cgroups = runtime_.cgroups();
  if (cgroups.base().empty()) {
    log_->info("limits of memory, CPU and pids cannot be kept why=\"{}\"", cgroups.missing());
    return;
  }
  log_->info("apps have cgroups of their own below={}", cgroups.base());
  std::set<std::string> ids;
  for (const auto& [id, app] : apps_) ids.insert(id);
  cgroups.remove_others(ids);
}

void Reconciler::keep_limits(AppEntry& app) {
  const runtime::CgroupLimits wanted = runtime::limits_of(app.record.spec);
  if (app.limits == wanted) return;
  app.limits = wanted;
  app.limits_error.clear();
  const runtime::Cgroups& cgroups = runtime_.cgroups();
  if (auto set = cgroups.set(app.record.id, wanted); !set) {
    app.limits_error = set.error().message;
    log_->warn("limits of memory, CPU or pids are not kept app={} why=\"{}\"", app.record.id,
               app.limits_error);
  }
  app.out_of_memory = cgroups.out_of_memory(app.record.id).value_or(0);
  app.refused_pids = cgroups.refused_pids(app.record.id).value_or(0);
}

bool Reconciler::take_refused_pids(AppEntry& app, bool all) {
  if (app.record.spec.limit_pids == 0) return false;
  return take(runtime_.cgroups().refused_pids(app.record.id), app.refused_pids, all);
}

std::optional<core::RolloutEvent> Reconciler::blame_limit(AppEntry& app,
                                                          const core::RolloutEvent& event) {
  if (!core::may_lack_pids(event)) return std::nullopt;
  // Of several forks that were refused together each has its own.
  if (!take_refused_pids(app, !core::is_refused_fork(event))) return std::nullopt;
  return core::with_pids_limit(event, app.record.spec.limit_pids);
}

void Reconciler::judge_limits(AppEntry& app, model::Death& death) {
  if (death.cause == model::DeathCause::Crashed && take_refused_pids(app, true)) {
    core::note_pids_limit(app.record.spec.limit_pids, death);
  }
  if (death.cause != model::DeathCause::OutOfMemory || app.record.spec.limit_memory == 0) return;
  // Of several that died together each has its own.
  if (!take(runtime_.cgroups().out_of_memory(app.record.id), app.out_of_memory, false)) return;
  core::note_memory_limit(app.record.spec.limit_memory, death);
}

}  // namespace appd::reconcile
