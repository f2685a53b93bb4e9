// fork(2), and what must be ready before it.
#include "worker/zygote/spawner.h"

#include <unistd.h>

#include <cerrno>
#include <utility>

#include "common/failpoint.h"
#include "worker/net/log_files.h"
#include "worker/net/log_output.h"
#include "worker/zygote/signals.h"

namespace appd::zygote {

Result<Spawner::Ties> Spawner::make_ties() {
  Ties ties;
  ties.channel = TRY(message::channel_pair());
  ties.log_files = TRY(net::log_file_link());
  ties.stacks = TRY(StacksFile::create());
  ties.batch.reset(net::share_access_batch());
  return ties;
}

std::optional<WorkerSetup> Spawner::spawn(std::uint32_t worker, gateway::PyRef& app) {
  if (!rollout_.of_commands()) return fork(worker, app);
  start_command(worker);
  return std::nullopt;
}

std::optional<WorkerSetup> Spawner::fork(std::uint32_t worker, gateway::PyRef& app) {
  auto ties = make_ties();
  if (!ties) {
    link_.send(message::ForkFailed{worker, ties.error().sys_errno});
    return std::nullopt;
  }
  children_.make_room(worker);
  if (app && !std::exchange(frozen_, true)) hooks_.freeze();
  PyOS_BeforeFork();
  pid_t pid = ::fork();
  int error = errno;
  if (pid == 0) {
    PyOS_AfterFork_Child();
    return become_worker(worker, std::move(ties).value(), std::move(app));
  }
  PyOS_AfterFork_Parent();
  if (pid < 0) {
    link_.send(message::ForkFailed{worker, error});
    return std::nullopt;
  }
  failpoint("zygote.forked");
  Child child;
  child.worker = worker;
  child.pid = pid;
  child.channel = std::move(ties->channel.first);
  child.stacks = std::move(ties->stacks);
  child.forked = net::steady_now();
  child.log_files = std::move(ties->log_files.first);
  child.batch = std::move(ties->batch);
  children_.add(std::move(child));
  return std::nullopt;
}

// In the fork: leave behind what belongs to the zygote. Its ends of the ties close with them.
WorkerSetup Spawner::become_worker(std::uint32_t worker, Ties ties, gateway::PyRef app) {
  Signals::leave_to_worker();
  net::set_log_writer(rollout_.log_writer(worker));
  net::set_access_batch(ties.batch.release());  // for as long as the process lives
  net::watch_log_file_link(ties.log_files.second.get());
  set_process_name(rollout_.load.app, ":" + std::to_string(worker));
  WorkerSetup setup;
  setup.worker = worker;
  setup.load = std::move(rollout_.load);
  setup.listeners = std::move(rollout_.listeners);
  setup.handover = std::move(rollout_.handover);
  setup.channel = std::move(ties.channel.second);
  setup.log_files = std::move(ties.log_files.second);
  setup.stacks = std::move(ties.stacks);
  setup.app = std::move(app);
  // The mapping stays for as long as the process lives.
  static Scoreboard inherited;
  inherited = std::move(rollout_.scoreboard);
  setup.slot = &inherited.slot(worker);
  return setup;
}

void Spawner::start_command(std::uint32_t worker) {
  children_.make_room(worker);
  auto output = net::LogPipe::create(rollout_.log_writer(worker), true);
  if (!output) {
    link_.send(message::ForkFailed{worker, output.error().sys_errno});
    return;
  }
  auto pid = launcher_.start(
      {rollout_.argv, rollout_.load.directory, output->writing_end(), false, worker});
  output->close_writing_end();
  if (!pid) {
    const Error& error = pid.error();
    bool not_found = error.sys_errno == ENOENT || error.sys_errno == EACCES;
    auto cause = not_found ? message::BootFailure::NotFound : message::BootFailure::Ended;
    link_.send(message::BootFailed{worker, cause, error.message, ""});
    return;
  }
  Child child;
  child.worker = worker;
  child.pid = pid.value();
  child.command = true;
  child.output = std::move(output).value();
  child.forked = net::steady_now();
  child.ready_at = child.forked + std::chrono::milliseconds(rollout_.settings().startsecs_ms);
  children_.add(std::move(child));
}

}  // namespace appd::zygote
