// Workers: a view of the core's snapshot, and the certificates of those that ended.
#include <algorithm>
#include <cstdio>
#include <tuple>

#include "supervisor/api/change_options.h"
#include "supervisor/api/pagination.h"
#include "supervisor/api/services.h"

namespace appd::api {
namespace {

using Workers = v1::Workers::Service;

// Sorts by app, then by number. The blank comes before all that an app's name may have.
std::string key_of(const model::WorkerView& worker) {
  char number[16];
  std::snprintf(number, sizeof(number), "%010d", worker.id);
  return worker.app + " " + number;
}

void get_worker(reconcile::Control& control, UnaryCall<v1::GetWorkerRequest, v1::Worker>& call) {
  const auto name = parse_worker_name(call.request().name(), "name");
  if (!name) return call.reject(name.rejection());
  call.about("resource", call.request().name());
  const auto answer = [wanted = name.value().id](auto& done, const reconcile::Snapshot& snapshot) {
    const auto found = std::find_if(snapshot.workers.begin(), snapshot.workers.end(),
                                    [&](const auto& worker) { return worker.id == wanted; });
    if (found == snapshot.workers.end()) {
      return done.reject(
          {Error{ErrorCode::NotFound, "WORKER_NOT_FOUND", "there is no " + done.request().name()},
           {}});
    }
    v1::Worker response;
    to_proto(*found, response);
    done.finish(response);
  };
  control.snapshot(call.scope(name.value().app), call.then<reconcile::Snapshot>(answer));
}

// One app by "apps/{id}", all by "apps/-"; nothing: the call is rejected.
template <typename Call>
std::optional<model::AppScope> parse_parent(Call& call) {
  const std::string& parent = call.request().parent();
  if (parent == "apps/-") return call.scope();
  const auto id = parse_app_name(parent, "parent");
  if (!id) {
    call.reject(id.rejection());
    return std::nullopt;
  }
  call.about("resource", parent);
  return call.scope(id.value());
}

void list_workers(reconcile::Control& control,
                  UnaryCall<v1::ListWorkersRequest, v1::ListWorkersResponse>& call) {
  auto scope = parse_parent(call);
  if (!scope) return;
  const auto answer = [](auto& done, const reconcile::Snapshot& snapshot) {
    const auto page = sorted_page(ListKind::Workers, snapshot.workers, key_of,
                                  done.request().page_size(), done.request().page_token());
    if (!page) return done.reject(page.rejection());
    v1::ListWorkersResponse response;
    for (const model::WorkerView* worker : page.value().items) {
      to_proto(*worker, *response.add_workers());
    }
    response.set_next_page_token(page.value().next_page_token);
    response.set_revision(snapshot.revision);
    done.finish(response);
  };
  control.snapshot(*std::move(scope), call.then<reconcile::Snapshot>(answer));
}

// Certificates with their logs are long: so many fit in a message.
constexpr std::int32_t kFullPage = 20;

// Sorts by app, newest first.
std::string key_of_death(const model::Death& death) {
  char number[32];
  std::snprintf(number, sizeof(number), "%019lld", static_cast<long long>(INT64_MAX - death.id));
  return death.app + " " + number;
}

void get_death(reconcile::Control& control, UnaryCall<v1::GetDeathRequest, v1::Death>& call) {
  const auto name = parse_death_name(call.request().name(), "name");
  if (!name) return call.reject(name.rejection());
  call.about("resource", call.request().name());
  const auto answer = [wanted = name.value().id](auto& done,
                                                 const std::vector<model::Death>& deaths) {
    const auto found = std::find_if(deaths.begin(), deaths.end(),
                                    [&](const auto& death) { return death.id == wanted; });
    if (found == deaths.end()) {
      return done.reject({Error{ErrorCode::NotFound, "DEATH_NOT_FOUND",
                                "there is no " + done.request().name() + ", or no more"},
                          {}});
    }
    v1::Death response;
    to_proto(*found, true, response);
    done.finish(response);
  };
  control.deaths(call.scope(name.value().app), call.then<std::vector<model::Death>>(answer));
}

void list_deaths(reconcile::Control& control,
                 UnaryCall<v1::ListDeathsRequest, v1::ListDeathsResponse>& call) {
  auto scope = parse_parent(call);
  if (!scope) return;
  const auto answer = [](auto& done, const std::vector<model::Death>& deaths) {
    const bool full = done.request().view() == v1::ListDeathsRequest::FULL;
    std::int32_t size = done.request().page_size();
    if (full && (size == 0 || size > kFullPage)) size = kFullPage;
    const auto page =
        sorted_page(ListKind::Deaths, deaths, key_of_death, size, done.request().page_token());
    if (!page) return done.reject(page.rejection());
    v1::ListDeathsResponse response;
    for (const model::Death* death : page.value().items) {
      to_proto(*death, full, *response.add_deaths());
    }
    response.set_next_page_token(page.value().next_page_token);
    done.finish(response);
  };
  control.deaths(*std::move(scope), call.then<std::vector<model::Death>>(answer));
}

void dump_stacks(reconcile::Control& control,
                 UnaryCall<v1::DumpStacksRequest, v1::DumpStacksResponse>& call) {
  const auto name = parse_worker_name(call.request().name(), "name");
  if (!name) return call.reject(name.rejection());
  call.about("resource", call.request().name());
  const auto answer = [](auto& done, const reconcile::WorkerStacks& stacks) {
    v1::DumpStacksResponse response;
    response.set_name(done.request().name());
    response.set_pid(stacks.pid);
    response.set_text(stacks.text);
    done.finish(response);
  };
  control.dump_stacks(name.value().app, name.value().id,
                      call.then<reconcile::WorkerStacks>(answer));
}

void recycle_worker(reconcile::Control& control,
                    UnaryCall<v1::RecycleWorkerRequest, v1::Worker>& call) {
  const auto name = parse_worker_name(call.request().name(), "name");
  if (!name) return call.reject(name.rejection());
  call.about("resource", call.request().name());
  const auto answer = [](auto& done, const model::WorkerView& worker) {
    v1::Worker response;
    to_proto(worker, response);
    done.finish(response);
  };
  auto options = options_of(call);
  if (!options) return;
  control.recycle_worker({name.value().app, name.value().id, *std::move(options)},
                         call.then<model::WorkerView>(answer));
}

// Oldest first, and the same while requests grow older.
bool began_before(const model::RequestView& a, const model::RequestView& b) {
  return std::tie(a.started, a.app, a.worker, a.number) <
         std::tie(b.started, b.app, b.worker, b.number);
}

// Sorts in this order.
std::string key_of_request(const model::RequestView& request) {
  char started[32];
  std::snprintf(started, sizeof(started), "%019lld",
                static_cast<long long>(request.started.time_since_epoch().count()));
  char number[32];
  std::snprintf(number, sizeof(number), "%010d %010u", request.worker, request.number);
  return started + (" " + request.app) + " " + number;
}

void list_requests(reconcile::Control& control,
                   UnaryCall<v1::ListRequestsRequest, v1::ListRequestsResponse>& call) {
  auto scope = parse_parent(call);
  if (!scope) return;
  const auto answer = [](auto& done, model::RequestsView requests) {
    std::sort(requests.named.begin(), requests.named.end(), began_before);
    const auto page = sorted_page(ListKind::Requests, requests.named, key_of_request,
                                  done.request().page_size(), done.request().page_token());
    if (!page) return done.reject(page.rejection());
    v1::ListRequestsResponse response;
    for (const model::RequestView* request : page.value().items) {
      to_proto(*request, *response.add_requests());
    }
    response.set_next_page_token(page.value().next_page_token);
    response.set_unnamed(requests.unnamed);
    response.set_websockets(requests.websockets);
    done.finish(response);
  };
  control.requests(*std::move(scope), call.then<model::RequestsView>(answer));
}

void cancel_request(reconcile::Control& control,
                    UnaryCall<v1::CancelRequestRequest, v1::RequestInHand>& call) {
  const auto name = parse_request_name(call.request().name(), "name");
  if (!name) return call.reject(name.rejection());
  call.about("resource", call.request().name());
  const auto answer = [](auto& done, const model::RequestView& request) {
    v1::RequestInHand response;
    to_proto(request, response);
    done.finish(response);
  };
  control.cancel_request(
      {name.value().app, name.value().worker, name.value().number, call.caller()},
      call.then<model::RequestView>(answer));
}

}  // namespace

void WorkersService::serve(CallHost& host) {
  serve_unary(host, service_, &Workers::GetWorker,
              [this](auto& call) { get_worker(control_, call); });
  serve_unary(host, service_, &Workers::ListWorkers,
              [this](auto& call) { list_workers(control_, call); });
  serve_unary(host, service_, &Workers::DumpStacks,
              [this](auto& call) { dump_stacks(control_, call); });
  serve_unary(host, service_, &Workers::RecycleWorker,
              [this](auto& call) { recycle_worker(control_, call); });
  serve_unary(host, service_, &Workers::ListRequests,
              [this](auto& call) { list_requests(control_, call); });
  serve_unary(host, service_, &Workers::CancelRequest,
              [this](auto& call) { cancel_request(control_, call); });
  serve_unary(host, service_, &Workers::GetDeath,
              [this](auto& call) { get_death(control_, call); });
  serve_unary(host, service_, &Workers::ListDeaths,
              [this](auto& call) { list_deaths(control_, call); });
}

}  // namespace appd::api
