// Apps: requests are checked for form, turned into the core's, and its answers into responses.
#include "supervisor/api/change_options.h"
#include "supervisor/api/pagination.h"
#include "supervisor/api/revision_convert.h"
#include "supervisor/api/services.h"
#include "supervisor/api/spec_convert.h"
#include "supervisor/model/text.h"
#include "supervisor/model/worker_class.h"

namespace appd::api {
namespace {

using Apps = v1::Apps::Service;
template <typename Request>
using AppCall = UnaryCall<Request, v1::App>;
template <typename Request>
using OperationCall = UnaryCall<Request, v1::Operation>;

// The id in a name; rejects the call when there is none.
template <typename Call>
std::optional<std::string> app_of(Call& call, const std::string& name, const char* field) {
  const auto id = parse_app_name(name, field);
  if (!id) {
    call.reject(id.rejection());
    return std::nullopt;
  }
  call.about("resource", name);
  return id.value();
}

Rejection gone(const std::string& name) {
  return {Error{ErrorCode::NotFound, "APP_NOT_FOUND", name + " has been deleted since"}, {}};
}

const auto kAnswerApp = [](auto& call, const model::AppView& app) {
  // The answer to a repeated request whose app has gone is empty.
  if (app.record.id.empty()) return call.reject(gone("the app of this request_id"));
  v1::App response;
  to_proto(app, response);
  call.finish(response);
};

const auto kAnswerOperation = [](auto& call, const model::Operation& operation) {
  v1::Operation response;
  to_proto(operation, response);
  call.finish(response);
};

void create_app(reconcile::Control& control, AppCall<v1::CreateAppRequest>& call) {
  const v1::CreateAppRequest& request = call.request();
  const std::string name = app_name(request.app_id());
  if (!parse_app_name(name, "app_id")) {
    return call.reject(request_invalid(
        "app_id",
        "must be lower-case letters, digits and hyphens, at most 63, a letter first and no hyphen "
        "last, but got " +
            model::in_quotes(request.app_id()) + ": choose another id"));
  }
  call.about("resource", name);
  if (!request.app().name().empty() && request.app().name() != name) {
    return call.reject(request_invalid("app.name", "must be empty or " + model::in_quotes(name) +
                                                       ", as app_id says, but got " +
                                                       model::in_quotes(request.app().name())));
  }
  auto options = options_of(call, "", request.validate_only());
  if (!options) return;
  std::vector<model::Violation> unreadable;
  model::AppSpec spec = to_model(request.app().spec(), unreadable);
  control.create_app(
      {request.app_id(), std::move(spec), std::move(unreadable), *std::move(options)},
      call.then<model::AppView>(kAnswerApp));
}

void get_app(reconcile::Control& control, AppCall<v1::GetAppRequest>& call) {
  auto id = app_of(call, call.request().name(), "name");
  if (!id) return;
  control.snapshot(call.scope(*std::move(id)),
                   call.then<reconcile::Snapshot>([](auto& done, const auto& snapshot) {
                     kAnswerApp(done, snapshot.apps.front());
                   }));
}

void list_apps(reconcile::Control& control,
               UnaryCall<v1::ListAppsRequest, v1::ListAppsResponse>& call) {
  const auto answer = [](auto& done, const reconcile::Snapshot& snapshot) {
    const auto page = sorted_page(
        ListKind::Apps, snapshot.apps, [](const auto& app) { return app.record.id; },
        done.request().page_size(), done.request().page_token());
    if (!page) return done.reject(page.rejection());
    v1::ListAppsResponse response;
    for (const model::AppView* app : page.value().items) to_proto(*app, *response.add_apps());
    response.set_next_page_token(page.value().next_page_token);
    response.set_revision(snapshot.revision);
    done.finish(response);
  };
  control.snapshot(call.scope(), call.then<reconcile::Snapshot>(answer));
}

void update_app(reconcile::Control& control, AppCall<v1::UpdateAppRequest>& call) {
  const v1::UpdateAppRequest& request = call.request();
  auto id = app_of(call, request.app().name(), "app.name");
  if (!id) return;
  const auto edit =
      to_edit(request.app().spec(), request.has_update_mask() ? &request.update_mask() : nullptr);
  if (!edit) return call.reject(edit.rejection());
  auto options = options_of(call, request.app().etag(), request.validate_only());
  if (!options) return;
  control.update_app({*std::move(id), edit.value(), model::OperationKind::Update,
                      request.allow_missing(), *std::move(options)},
                     call.then<model::AppView>(kAnswerApp));
}

void delete_app(reconcile::Control& control, OperationCall<v1::DeleteAppRequest>& call) {
  const v1::DeleteAppRequest& request = call.request();
  auto id = app_of(call, request.name(), "name");
  if (!id) return;
  auto options = options_of(call, request.etag());
  if (!options) return;
  const auto answer = [](auto& done, model::Operation operation) {
    if (operation.id.empty()) {  // nothing was there: done before it began
      operation.app = parse_app_name(done.request().name(), "name").value();
      operation.kind = model::OperationKind::Delete;
      operation.phase = model::OperationPhase::Succeeded;
      operation.create_time = std::chrono::system_clock::now();
      operation.end_time = operation.create_time;
    }
    kAnswerOperation(done, operation);
  };
  control.delete_app({*std::move(id), request.allow_missing(), *std::move(options)},
                     call.then<model::Operation>(answer));
}

void scale_app(reconcile::Control& control, OperationCall<v1::ScaleAppRequest>& call) {
  const v1::ScaleAppRequest& request = call.request();
  auto id = app_of(call, request.name(), "name");
  if (!id) return;
  if (!request.has_workers() && !request.has_threads() && request.worker_class().empty() &&
      !request.has_worker_connections()) {
    return call.reject(request_invalid("workers",
                                       "nothing to scale: give workers, threads, worker_class or "
                                       "worker_connections, or several of them"));
  }
  auto options = options_of(call, request.etag());
  if (!options) return;
  const auto edit = [request](model::AppSpec& spec) {
    if (request.has_workers()) spec.workers = request.workers();
    if (request.has_threads()) spec.threads = request.threads();
    if (!request.worker_class().empty()) {
      spec.worker_class = model::canonical_worker_class(request.worker_class());
      const auto loop = model::loop_of_worker_class(request.worker_class());
      if (!loop.empty()) spec.loop = loop;
    }
    if (request.has_worker_connections()) spec.worker_connections = request.worker_connections();
    return std::vector<model::Violation>();  // numbers and names can all be read
  };
  const auto answer = [&control](auto& done, const model::AppView& app) {
    if (app.record.id.empty()) return done.reject(gone("the app of this request_id"));
    control.operation(app.record.operation, done.template then<model::Operation>(kAnswerOperation));
  };
  control.update_app({*std::move(id), edit, model::OperationKind::Scale, /*allow_missing=*/false,
                      *std::move(options)},
                     call.then<model::AppView>(answer));
}

void reload_app(reconcile::Control& control, OperationCall<v1::ReloadAppRequest>& call) {
  const v1::ReloadAppRequest& request = call.request();
  auto id = app_of(call, request.name(), "name");
  if (!id) return;
  auto options = options_of(call, request.etag());
  if (!options) return;
  control.reload_app({*std::move(id), *std::move(options)},
                     call.then<model::Operation>(kAnswerOperation));
}

void list_revisions(reconcile::Control& control,
                    UnaryCall<v1::ListRevisionsRequest, v1::ListRevisionsResponse>& call) {
  auto id = app_of(call, call.request().parent(), "parent");
  if (!id) return;
  const auto answer = [](auto& done, const std::vector<model::Revision>& history) {
    const auto page =
        revisions_page(history, done.request().page_size(), done.request().page_token());
    if (!page) return done.reject(page.rejection());
    done.finish(page.value());
  };
  control.revisions(*std::move(id), call.then<std::vector<model::Revision>>(answer));
}

void rollback_app(reconcile::Control& control, OperationCall<v1::RollbackAppRequest>& call) {
  const v1::RollbackAppRequest& request = call.request();
  auto id = app_of(call, request.name(), "name");
  if (!id) return;
  if (request.revision() < 0) {
    return call.reject(request_invalid(
        "revision", "must be the number of a revision, or 0 for the last good one, but got " +
                        std::to_string(request.revision())));
  }
  auto options = options_of(call, request.etag());
  if (!options) return;
  const bool named = request.revision() > 0;
  if (named) call.about("revision", revision_name(*id, request.revision()));
  control.rollback_app({*std::move(id), request.revision(), *std::move(options)},
                       call.then<model::Operation>(kAnswerOperation));
}

}  // namespace

void AppsService::serve(CallHost& host) {
  // Each handler gets the call with the core bound to it.
  const auto with_core = [this](auto handler) {
    return [this, handler](auto& call) { handler(control_, call); };
  };
  serve_unary(host, service_, &Apps::CreateApp, with_core(create_app));
  serve_unary(host, service_, &Apps::GetApp, with_core(get_app));
  serve_unary(host, service_, &Apps::ListApps, with_core(list_apps));
  serve_unary(host, service_, &Apps::UpdateApp, with_core(update_app));
  serve_unary(host, service_, &Apps::DeleteApp, with_core(delete_app));
  serve_unary(host, service_, &Apps::ScaleApp, with_core(scale_app));
  serve_unary(host, service_, &Apps::ReloadApp, with_core(reload_app));
  serve_unary(host, service_, &Apps::ListRevisions, with_core(list_revisions));
  serve_unary(host, service_, &Apps::RollbackApp, with_core(rollback_app));
}

}  // namespace appd::api
