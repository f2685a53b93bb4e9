// The limits of memory and CPU that the kernel keeps: written when they change, and asked when a
// worker was ended for want of memory.
#include "supervisor/core/autopsy.h"
#include "supervisor/reconcile/reconciler.h"

namespace appd::reconcile {

void Reconciler::begin_limits() {
  const runtime::Cgroups& cgroups = runtime_.cgroups();
  if (cgroups.base().empty()) {
    log_->info("limits of memory and CPU cannot be kept why=\"{}\"", cgroups.missing());
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
    log_->warn("limits of memory and CPU are not kept app={} why=\"{}\"", app.record.id,
               app.limits_error);
  }
  app.out_of_memory = cgroups.out_of_memory(app.record.id).value_or(0);
}

void Reconciler::judge_out_of_memory(AppEntry& app, model::Death& death) {
  if (death.cause != model::DeathCause::OutOfMemory || app.record.spec.limit_memory == 0) return;
  const auto count = runtime_.cgroups().out_of_memory(app.record.id);
  if (!count || *count <= app.out_of_memory) return;
  ++app.out_of_memory;  // of several that died together each has its own
  core::note_memory_limit(app.record.spec.limit_memory, death);
}

}  // namespace appd::reconcile
