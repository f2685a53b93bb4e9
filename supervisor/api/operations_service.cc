// Operations: looked up, listed, waited for, cancelled. Waiting holds no thread: the core answers
// in time.
#include <algorithm>

#include "supervisor/api/change_options.h"
#include "supervisor/api/pagination.h"
#include "supervisor/api/services.h"

namespace appd::api {
namespace {

using Operations = v1::Operations::Service;

constexpr std::chrono::seconds kDefaultWait{60};
constexpr std::chrono::hours kLongestWait{1};

const auto kAnswer = [](auto& call, const model::Operation& operation) {
  if (!call.covers(operation.app))
    return call.reject(call.not_covered("this is about another app"));
  v1::Operation response;
  to_proto(operation, response);
  call.finish(response);
};

template <typename Call>
std::optional<std::string> operation_of(Call& call) {
  const auto id = parse_operation_name(call.request().name(), "name");
  if (!id) {
    call.reject(id.rejection());
    return std::nullopt;
  }
  call.about("resource", call.request().name());
  return id.value();
}

// Newest first, which is no order of names: a page goes on behind the token's operation.
Answer<Page<model::Operation>> page_of(const std::vector<model::Operation>& list,
                                       const v1::ListOperationsRequest& request) {
  const auto size = parse_page_size(request.page_size());
  if (!size) return size.rejection();
  const auto after = parse_page_token(ListKind::Operations, request.page_token());
  if (!after) return after.rejection();
  auto item = list.begin();
  if (!after.value().empty()) {
    item = std::find_if(item, list.end(), [&](const auto& o) { return o.id == after.value(); });
    if (item == list.end()) {
      return request_invalid("page_token",
                             "speaks of an operation that is no longer kept: begin without one");
    }
    ++item;
  }
  Page<model::Operation> page;
  for (; item != list.end() && page.items.size() < size.value(); ++item) {
    page.items.push_back(&*item);
  }
  if (item != list.end()) {
    page.next_page_token = make_page_token(ListKind::Operations, page.items.back()->id);
  }
  return page;
}

void list_operations(reconcile::Control& control,
                     UnaryCall<v1::ListOperationsRequest, v1::ListOperationsResponse>& call) {
  std::string app;
  if (!call.request().app().empty()) {
    const auto id = parse_app_name(call.request().app(), "app");
    if (!id) return call.reject(id.rejection());
    app = id.value();
  }
  const auto answer = [](auto& done, const std::vector<model::Operation>& operations) {
    const auto page = page_of(operations, done.request());
    if (!page) return done.reject(page.rejection());
    v1::ListOperationsResponse response;
    for (const model::Operation* operation : page.value().items) {
      to_proto(*operation, *response.add_operations());
    }
    response.set_next_page_token(page.value().next_page_token);
    done.finish(response);
  };
  control.operations(call.scope(std::move(app)), call.then<std::vector<model::Operation>>(answer));
}

void wait_operation(reconcile::Control& control,
                    UnaryCall<v1::WaitOperationRequest, v1::Operation>& call) {
  auto id = operation_of(call);
  if (!id) return;
  const v1::WaitOperationRequest& request = call.request();
  std::chrono::nanoseconds wait = kDefaultWait;
  if (request.has_timeout()) {
    const std::int64_t seconds = request.timeout().seconds();
    wait = std::chrono::seconds(std::clamp<std::int64_t>(seconds, -1, 3601)) +
           std::chrono::nanoseconds(request.timeout().nanos());
    if (wait < wait.zero() || wait > kLongestWait) {
      return call.reject(request_invalid(
          "timeout", "must be from 0 to 1 hour, but got " + std::to_string(seconds) + " s and " +
                         std::to_string(request.timeout().nanos()) + " ns"));
    }
  }
  control.wait_operation(*std::move(id), std::chrono::steady_clock::now() + wait,
                         call.then<model::Operation>(kAnswer));
}

void cancel_operation(reconcile::Control& control,
                      UnaryCall<v1::CancelOperationRequest, v1::Operation>& call) {
  auto id = operation_of(call);
  if (!id) return;
  auto options = options_of(call);
  if (!options) return;
  if (!call.is_limited()) {
    return control.cancel_operation({*std::move(id), *std::move(options)},
                                    call.then<model::Operation>(kAnswer));
  }
  // The name does not tell whose it is.
  const auto cancel = [&control, options = *options](auto& done, const model::Operation& found) {
    if (!done.covers(found.app)) return kAnswer(done, found);  // which rejects it
    control.cancel_operation({found.id, options}, done.template then<model::Operation>(kAnswer));
  };
  control.operation(*std::move(id), call.then<model::Operation>(cancel));
}

}  // namespace

void OperationsService::serve(CallHost& host) {
  serve_unary(host, service_, &Operations::GetOperation, [this](auto& call) {
    if (auto id = operation_of(call)) {
      control_.operation(*std::move(id), call.template then<model::Operation>(kAnswer));
    }
  });
  serve_unary(host, service_, &Operations::ListOperations,
              [this](auto& call) { list_operations(control_, call); });
  serve_unary(host, service_, &Operations::WaitOperation,
              [this](auto& call) { wait_operation(control_, call); });
  serve_unary(host, service_, &Operations::CancelOperation,
              [this](auto& call) { cancel_operation(control_, call); });
}

}  // namespace appd::api
