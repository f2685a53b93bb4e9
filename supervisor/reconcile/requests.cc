// Requests in hand: what they are, and the wish to end one.
#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <cstring>

#include "supervisor/model/worker_class.h"
#include "supervisor/reconcile/in_hand.h"
#include "supervisor/reconcile/reconciler.h"

namespace appd::reconcile {
namespace {

using std::chrono::steady_clock;

constexpr auto relaxed = std::memory_order_relaxed;

// Whether its requests are coroutines or greenlets.
bool can_end_requests(const core::Rollout& rollout) {
  return !rollout.worker_class.empty() && !model::takes_threads(rollout.worker_class);
}

// The slot may change while it is read: text is the client's choice, and perhaps half of another's.
std::string printable(const char* text, std::size_t size) {
  std::string out(text, ::strnlen(text, size));
  for (char& c : out) {
    auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte >= 0x7f) c = '?';
  }
  return out;
}

model::RequestStage stage_of(const RequestInHand& request) {
  switch (request.stage.load(relaxed)) {
    case RequestStage::Receiving:
      return model::RequestStage::Receiving;
    case RequestStage::Sending:
      return model::RequestStage::Sending;
    case RequestStage::InApp:
      break;
  }
  return model::RequestStage::InApp;
}

std::string name_of(const std::string& app, std::int32_t worker, std::uint32_t number) {
  return "apps/" + app + "/workers/" + std::to_string(worker) + "/requests/" +
         std::to_string(number);
}

}  // namespace

std::vector<model::RequestView> requests_in_hand(const ScoreboardSlot& slot,
                                                 steady_clock::time_point now) {
  std::vector<model::RequestView> found;
  for (const RequestInHand& shown : slot.in_hand) {
    const std::uint64_t started = shown.started_ns.load(relaxed);
    if (started == 0) continue;
    model::RequestView request;
    request.number = shown.number.load(relaxed);
    request.method = printable(shown.method, sizeof(shown.method));
    request.path = printable(shown.path, sizeof(shown.path));
    request.stage = stage_of(shown);
    request.started =
        steady_clock::time_point(std::chrono::nanoseconds(static_cast<std::int64_t>(started)));
    request.age = std::max(std::chrono::duration_cast<model::Milliseconds>(now - request.started),
                           model::Milliseconds(0));
    found.push_back(std::move(request));
  }
  std::sort(found.begin(), found.end(),
            [](const auto& a, const auto& b) { return a.started < b.started; });
  return found;
}

// As of `now`; empty of a slot that shows its last owner's.
model::RequestsView Reconciler::requests_of(const AppEntry& app, core::RolloutKey key,
                                            core::WorkerId id, const core::Worker& worker,
                                            steady_clock::time_point now) const {
  model::RequestsView out;
  const ScoreboardSlot* slot = runtime_.figures(key, id);
  if (slot == nullptr || slot->pid.load(relaxed) != worker.pid) return out;
  out.named = requests_in_hand(*slot, now);
  const core::Rollout* rollout = app.state.find(key);
  const bool ends = rollout != nullptr && can_end_requests(*rollout);
  for (model::RequestView& request : out.named) {
    request.app = app.record.id;
    request.worker = static_cast<std::int32_t>(id);
    request.pid = worker.pid;
    request.cancellable = ends && request.stage == model::RequestStage::InApp;
  }
  const std::int64_t all = std::int64_t{slot->busy.load(relaxed)} + slot->receiving.load(relaxed) +
                           slot->sending.load(relaxed);
  out.unnamed = std::max<std::int64_t>(all - static_cast<std::int64_t>(out.named.size()), 0);
  out.websockets = slot->websockets.load(relaxed);
  return out;
}

void Reconciler::requests(model::AppScope scope, Reply<model::RequestsView> reply) {
  post([this, scope = std::move(scope), reply = std::move(reply)] {
    if (!is_there(scope)) return reply(app_not_found(scope.app));
    const auto now = steady_clock::now();
    model::RequestsView all;
    for (const auto& [id, entry] : apps_) {
      if (!scope.holds(id)) continue;
      for (const auto& [key, rollout] : entry.state.rollouts) {
        for (const auto& [worker_id, worker] : rollout.workers) {
          model::RequestsView own = requests_of(entry, key, worker_id, worker, now);
          all.unnamed += own.unnamed;
          all.websockets += own.websockets;
          std::move(own.named.begin(), own.named.end(), std::back_inserter(all.named));
        }
      }
    }
    reply(std::move(all));
  });
}

void Reconciler::cancel_request(CancelRequest request, Reply<model::RequestView> reply) {
  post([this, request = std::move(request), reply = std::move(reply)] {
    auto place = find_worker(request.app, request.worker);
    if (!place) return reply(place.rejection());
    auto [entry, key, worker] = place.value();
    const auto id = static_cast<core::WorkerId>(request.worker);
    const std::string name = name_of(request.app, request.worker, request.number);
    const std::vector<model::RequestView> named =
        requests_of(*entry, key, id, *worker, steady_clock::now()).named;
    const auto found = std::find_if(named.begin(), named.end(), [&](const auto& each) {
      return each.number == request.number;
    });
    if (found == named.end()) {
      return reply(Error{ErrorCode::NotFound, "REQUEST_NOT_FOUND",
                         name + " is not in hand: it has been answered, or never was", 0});
    }
    if (!found->cancellable) {
      const bool in_app = found->stage == model::RequestStage::InApp;
      return reply(Error{ErrorCode::FailedPrecondition, "REQUEST_NOT_CANCELLABLE",
                         name + (in_app ? " is in a thread, which can only be ended with its worker"
                                        : " waits for its client, not for the app"),
                         0});
    }
    if (!runtime_.cancel_request(key, id, request.number)) {
      return reply(Error{ErrorCode::FailedPrecondition, "WORKER_NOT_READY",
                         name + " is in a worker that has lost its zygote and is being replaced",
                         0});
    }
    note(request.app,
         fmt::format("request {}/{} ({} {}) is cancelled by {}", request.worker, request.number,
                     found->method, found->path, describe(request.caller)));
    reply(*found);
  });
}

}  // namespace appd::reconcile
