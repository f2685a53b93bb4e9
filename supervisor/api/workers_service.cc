// Workers: a view of the core's snapshot.
#include <algorithm>
#include <cstdio>

#include "supervisor/api/pagination.h"
#include "supervisor/api/services.h"

namespace appd::api {
namespace {

using Workers = v1::Workers::AsyncService;

// Sorts by app, then by number.
std::string key_of(const model::WorkerView& worker) {
  char number[16];
  std::snprintf(number, sizeof(number), "%010d", worker.id);
  return worker.app + "/" + number;
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
  control.snapshot(name.value().app, call.then<reconcile::Snapshot>(answer));
}

void list_workers(reconcile::Control& control,
                  UnaryCall<v1::ListWorkersRequest, v1::ListWorkersResponse>& call) {
  std::optional<std::string> app;  // none: all
  if (call.request().parent() != "apps/-") {
    const auto id = parse_app_name(call.request().parent(), "parent");
    if (!id) return call.reject(id.rejection());
    app = id.value();
    call.about("resource", call.request().parent());
  }
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
  control.snapshot(std::move(app), call.then<reconcile::Snapshot>(answer));
}

}  // namespace

void WorkersService::serve(CallHost& host) {
  serve_unary(host, service_, &Workers::RequestGetWorker,
              [this](auto& call) { get_worker(control_, call); });
  serve_unary(host, service_, &Workers::RequestListWorkers,
              [this](auto& call) { list_workers(control_, call); });
}

}  // namespace appd::api
