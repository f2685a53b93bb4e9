// Certificates of death as the API shows them.
#include "supervisor/api/convert.h"
#include "supervisor/api/names.h"

namespace appd::api {
namespace {

v1::Death::Cause proto_of(model::DeathCause cause) {
  switch (cause) {
    case model::DeathCause::Asked:  // never certified
      return v1::Death::CAUSE_UNSPECIFIED;
    case model::DeathCause::Crashed:
      return v1::Death::CRASHED;
    case model::DeathCause::BootFailed:
      return v1::Death::BOOT_FAILED;
    case model::DeathCause::BootTimeout:
      return v1::Death::BOOT_TIMEOUT;
    case model::DeathCause::Timeout:
      return v1::Death::TIMEOUT;
    case model::DeathCause::RequestTimeout:
      return v1::Death::REQUEST_TIMEOUT;
    case model::DeathCause::Stopped:
      return v1::Death::STOPPED_TOO_LONG;
    case model::DeathCause::GracefulTimeout:
      return v1::Death::GRACEFUL_TIMEOUT;
    case model::DeathCause::OutOfMemory:
      return v1::Death::OUT_OF_MEMORY;
    case model::DeathCause::Killed:
      return v1::Death::KILLED;
    case model::DeathCause::Unknown:
      return v1::Death::UNKNOWN;
  }
  return v1::Death::CAUSE_UNSPECIFIED;
}

void fill(const model::LostRequest& request, v1::Death::Request& out) {
  out.set_method(request.method);
  out.set_path(request.path);
  to_proto(request.age, *out.mutable_age());
  out.set_stage(to_proto(request.stage));
}

void fill(const model::LastFigures& figures, v1::Death& out) {
  out.set_requests(figures.requests);
  out.set_errors(figures.errors);
  out.set_bytes_in(figures.bytes_in);
  out.set_bytes_out(figures.bytes_out);
  out.set_busy(figures.busy);
  out.set_connections(figures.connections);
  for (const auto& request : figures.in_hand) fill(request, *out.add_requests_in_hand());
  out.set_receiving(figures.receiving);
  out.set_sending(figures.sending);
  out.set_websockets(figures.websockets);
}

}  // namespace

v1::Death::Request::Stage to_proto(model::RequestStage stage) {
  switch (stage) {
    case model::RequestStage::InApp:
      return v1::Death::Request::IN_APP;
    case model::RequestStage::Receiving:
      return v1::Death::Request::RECEIVING;
    case model::RequestStage::Sending:
      return v1::Death::Request::SENDING;
  }
  return v1::Death::Request::STAGE_UNSPECIFIED;
}

void to_proto(const std::string& app, const model::Cut& cut, v1::Cut& out) {
  out.set_workers(cut.workers);
  out.set_requests(cut.requests);
  out.set_websockets(cut.websockets);
  to_proto(cut.graceful_timeout, *out.mutable_graceful_timeout());
  for (const model::CutWorker& worker : cut.first) {
    v1::Cut::Worker& shown = *out.add_cut_workers();
    shown.set_worker(worker.worker);
    shown.set_rollout(worker.rollout);
    shown.set_death(death_name(app, worker.death));
    shown.set_limit(worker.limit);
    shown.set_requests(worker.requests);
    shown.set_websockets(worker.websockets);
    for (const auto& request : worker.in_hand) fill(request, *shown.add_requests_in_hand());
  }
}

void to_proto(const model::Death& death, bool full, v1::Death& out) {
  out.set_name(death_name(death.app, death.id));
  out.set_worker(death.worker);
  out.set_pid(death.pid);
  out.set_rollout(death.rollout);
  out.set_worker_class(death.worker_class);
  to_proto(death.start_time, *out.mutable_start_time());
  if (death.ready_time) to_proto(*death.ready_time, *out.mutable_ready_time());
  to_proto(death.end_time, *out.mutable_end_time());
  out.set_cause(proto_of(death.cause));
  out.set_reason(death.reason);
  out.set_limit(death.limit);
  if (death.exit_status) out.set_exit_status(*death.exit_status);
  if (death.signal) out.set_signal(*death.signal);
  fill(death.figures, out);
  if (!full) return;
  out.set_log_tail(death.log_tail);
  out.set_stacks(death.stacks);
}

}  // namespace appd::api
