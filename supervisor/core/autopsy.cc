// The causes of death, told apart.
#include "supervisor/core/autopsy.h"

#include <sys/wait.h>

#include <csignal>
#include <cstring>

#include "supervisor/model/text.h"

namespace appd::core {
namespace {

using message::ExitCause;
using model::Death;
using model::DeathCause;

model::WallTime from_ms(std::int64_t since_1970) {
  return model::WallTime(std::chrono::milliseconds(since_1970));
}

void judge_own(const message::Exited& exited, const Worker* worker, const Rollout& rollout,
               const std::string& how, Death& death) {
  bool sigkill = WIFSIGNALED(exited.wait_status) && WTERMSIG(exited.wait_status) == SIGKILL;
  if (worker != nullptr && !worker->boot_error.empty()) {
    death.cause = DeathCause::BootFailed;
    death.reason = "could not load the app: " + worker->boot_error;
  } else if (sigkill && rollout.killed) {
    death.cause = DeathCause::Asked;
    death.reason = "was killed with its rollout";
  } else if (sigkill) {
    death.cause = DeathCause::Killed;
    death.reason = how + " from outside, perhaps by the kernel's OOM killer";
  } else {
    death.cause = DeathCause::Crashed;
    death.reason = how;
  }
}

void judge(const message::Exited& exited, const Worker* worker, const Rollout& rollout,
           Death& death) {
  std::string how = describe_exit(exited.wait_status);
  if (worker != nullptr && worker->killed) {
    death.cause = DeathCause::BootTimeout;
    death.limit = "boot_timeout";
    death.reason = "was killed: not ready within boot_timeout";
    return;
  }
  switch (exited.cause) {
    case ExitCause::Asked:
      death.cause = DeathCause::Asked;
      death.reason = how;
      // On its way out a worker is killed by somebody else, or crashes; a command ends by whatever
      // signal tells it to go.
      if (WIFSIGNALED(exited.wait_status) && WTERMSIG(exited.wait_status) != SIGTERM &&
          rollout.spec.command.empty()) {
        judge_own(exited, worker, rollout, how, death);
      }
      break;
    case ExitCause::Own:
      judge_own(exited, worker, rollout, how, death);
      break;
    case ExitCause::Timeout:
      death.cause = DeathCause::Timeout;
      death.limit = "timeout";
      death.reason = "was killed: stuck for longer than timeout (" + exited.detail + ")";
      break;
    case ExitCause::RequestTimeout:
      death.cause = DeathCause::RequestTimeout;
      death.limit = "request_timeout";
      death.reason =
          "was killed: a request ran longer than request_timeout (" + exited.detail + ")";
      break;
    case ExitCause::Stopped:
      death.cause = DeathCause::Stopped;
      death.limit = "timeout";
      death.reason = "was killed: it had been stopped by a signal " + exited.detail;
      break;
    case ExitCause::Silent:
      death.cause = DeathCause::Timeout;
      death.limit = "timeout";
      death.reason = "was killed: stuck, and without a sign of life (" + exited.detail + ")";
      break;
    case ExitCause::GracefulTimeout:
      death.cause = DeathCause::GracefulTimeout;
      death.limit = "graceful_timeout";
      death.reason = WIFSIGNALED(exited.wait_status)
                         ? "was killed: still there after graceful_timeout"
                         : "left, unfinished, at the end of graceful_timeout";
      break;
    case ExitCause::OutOfMemory:
      death.cause = DeathCause::OutOfMemory;
      death.limit = "memory";
      death.reason = "was killed by the kernel's OOM killer (" + exited.detail + ")";
      break;
  }
}

}  // namespace

std::string describe_exit(int wait_status) {
  if (WIFEXITED(wait_status)) {
    return "exited with status " + std::to_string(WEXITSTATUS(wait_status));
  }
  int signal = WTERMSIG(wait_status);
  const char* name = ::sigabbrev_np(signal);
  return "was killed by signal " + std::to_string(signal) +
         (name != nullptr ? " (SIG" + std::string(name) + ")" : "");
}

Death certify(const message::Exited& exited, const Worker* worker, const Rollout& rollout) {
  Death death;
  death.worker = static_cast<std::int32_t>(exited.worker);
  death.pid = exited.pid;
  death.rollout = rollout.number;
  death.worker_class = rollout.worker_class;
  death.start_time = from_ms(exited.start_time);
  if (exited.ready_time != 0) death.ready_time = from_ms(exited.ready_time);
  death.end_time = from_ms(exited.end_time);
  if (WIFEXITED(exited.wait_status)) {
    death.exit_status = WEXITSTATUS(exited.wait_status);
  } else {
    death.signal = WTERMSIG(exited.wait_status);
  }
  death.stacks = model::utf8(exited.stacks);
  judge(exited, worker, rollout, death);
  death.reason = model::utf8(death.reason);  // requests are the client's choice
  return death;
}

Death certify_orphan(WorkerId id, const Worker& worker, const Rollout& rollout,
                     model::WallTime now) {
  Death death;
  death.worker = static_cast<std::int32_t>(id);
  death.pid = worker.pid;
  death.rollout = rollout.number;
  death.worker_class = rollout.worker_class;
  death.start_time = worker.start_time;
  death.ready_time = worker.ready_time;
  death.end_time = now;
  bool asked =
      rollout.phase == RolloutPhase::Retiring || worker.state == model::WorkerState::Draining;
  death.cause = asked ? DeathCause::Asked : DeathCause::Unknown;
  death.reason = "ended when its zygote had gone before it: nobody was told its exit status";
  return death;
}

void note_memory_limit(std::int64_t limit, Death& death) {
  death.limit = "limit_memory";
  death.reason += ": the app had reached limit_memory (" + std::to_string(limit >> 20) + " MiB)";
}

void note_figures(model::LastFigures figures, Death& death) {
  death.figures = std::move(figures);
  const std::int32_t requests = death.figures.unfinished();
  const std::int32_t websockets = death.figures.websockets;
  const bool left_any = requests > 0 || websockets > 0;
  if (left_any && death.cause == DeathCause::Asked) {
    death.cause = DeathCause::GracefulTimeout;
    death.limit = "graceful_timeout";
  }
  if (left_any && death.cause == DeathCause::GracefulTimeout) {
    death.reason += ", with " + model::cut_words(requests, websockets) + " in hand";
  }
}

std::optional<model::CutWorker> cut_by(const Death& death) {
  model::CutWorker cut;
  cut.worker = death.worker;
  cut.rollout = death.rollout;
  cut.death = death.id;
  cut.limit = death.limit;
  cut.requests = death.figures.unfinished();
  cut.websockets = death.figures.websockets;
  cut.in_hand = death.figures.in_hand;
  const bool lost_any = cut.requests > 0 || cut.websockets > 0;
  const bool went = death.cause == DeathCause::Asked;
  if (went || (!lost_any && death.cause != DeathCause::GracefulTimeout)) return std::nullopt;
  return cut;
}

}  // namespace appd::core
