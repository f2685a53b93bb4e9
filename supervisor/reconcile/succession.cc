// How this appd ends, or becomes another, while the apps serve on.
#include <unistd.h>

#include "common/failpoint.h"
#include "supervisor/reconcile/reconciler.h"

namespace appd::reconcile {

void Reconciler::prepare_succession(runtime::Invocation self, runtime::Legacy legacy) {
  self_ = std::move(self);
  legacy_ = std::move(legacy);
}

// Of the call that made the appd before us become this one: its repetition gets the answer.
void Reconciler::note_succession(const runtime::Inheritance& inherited) {
  if (inherited.version.empty()) return;
  log_->info("upgraded from={} to={} zygotes={} workers={}", inherited.version, legacy_.version,
             adopted_zygotes_, adopted_workers_);
  if (inherited.request_id.empty()) return;
  store::Change change;
  change.request = {inherited.request_id, {inherited.fingerprint, "", inherited.version}};
  if (auto stored = store_->commit(change, std::chrono::system_clock::now()); !stored) {
    log_->error("cannot store that the upgrade is done why=\"{}\"", stored.error().message);
  }
}

Upgraded Reconciler::upgraded_from(const std::string& version) const {
  return {version, legacy_.version, ::getpid(), adopted_zygotes_, adopted_workers_};
}

void Reconciler::upgrade(Upgrade request, Reply<Upgraded> reply) {
  post([this, request = std::move(request), reply = std::move(reply)] {
    begin_upgrade(request, reply);
  });
}

void Reconciler::begin_upgrade(const Upgrade& request, Reply<Upgraded> reply) {
  auto replay = replayed<Upgraded>(
      request.options, [this](const store::Replay& done) { return upgraded_from(done.operation); });
  if (replay) return reply(*replay);
  if (ending()) return reply(shutting_down());
  if (checker_.joinable()) {
    return reply(Error{ErrorCode::FailedPrecondition, "UPGRADE_REFUSED",
                       "another upgrade is on its way: wait for its end", 0});
  }
  runtime::Invocation next = self_;
  if (!request.binary.empty()) next.binary = request.binary;
  log_->info("checking a binary to become binary={} caller=\"{}\"", next.binary,
             describe(request.options.caller));
  checker_ = std::thread([this, request, next, reply = std::move(reply)] {
    Result<std::string> checked = runtime::check_binary(next);
    post([this, request, next, checked = std::move(checked), reply] {
      checker_.join();
      finish_upgrade(request, next, checked, reply);
    });
  });
}

void Reconciler::finish_upgrade(const Upgrade& request, const runtime::Invocation& next,
                                Result<std::string> checked, const Reply<Upgraded>& reply) {
  if (!checked) {
    log_->warn("not upgraded, going on as before why=\"{}\"", checked.error().message);
    return reply(std::move(checked).error());
  }
  if (ending()) return reply(shutting_down());
  store_changed();
  store::Change change;
  change.audit =
      audit_line("upgrade from " + legacy_.version + " to " + next.binary + " (" + *checked + ")",
                 request.options);
  if (auto stored = store_->commit(change, std::chrono::system_clock::now()); !stored) {
    return reply(std::move(stored).error());
  }
  log_->info("becoming the next appd binary={} version={}", next.binary, *checked);
  failpoint("upgrade.checked");
  runtime::Legacy legacy = legacy_;
  legacy.request_id = request.options.request_id;
  legacy.fingerprint = request.options.fingerprint;
  keep_tallies();
  Error failed = runtime::become(next, legacy);
  // Beyond this point it has not worked, and nothing has changed.
  log_->error("not upgraded, going on as before why=\"{}\"", failed.message);
  reply(std::move(failed));
}

Answer<ShuttingDown> Reconciler::do_shutdown(const Shutdown& request) {
  auto replay =
      replayed<ShuttingDown>(request.options, [](const store::Replay&) { return ShuttingDown{}; });
  if (replay) return *replay;
  if (ending()) return shutting_down();
  store::Change change;
  change.audit =
      audit_line(request.keep_apps ? "shutdown, the apps serve on" : "shutdown", request.options);
  change.request = answered_by(request.options, "", "");
  if (auto stored = store_->commit(change, std::chrono::system_clock::now()); !stored) {
    return std::move(stored).error();
  }
  log_->info("ending what=\"{}\"", change.audit);
  ShuttingDown answer;
  for (const auto& [id, app] : apps_) {
    if (app.state.rollouts.empty()) continue;
    ++answer.apps;
    answer.workers += app.state.workers();
  }
  if (request.keep_apps) {
    leave();
  } else {
    stop();
  }
  return answer;
}

void Reconciler::shutdown(Shutdown request, Reply<ShuttingDown> reply) {
  post([this, request = std::move(request), reply = std::move(reply)] {
    reply(do_shutdown(request));
  });
}

}  // namespace appd::reconcile
