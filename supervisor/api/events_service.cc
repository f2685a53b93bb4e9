// Events: the present state, then changes as they are published. A watcher is a cursor into the
// core's ring and one message in flight; it costs the same however slowly its client reads.
#include <algorithm>
#include <deque>
#include <iterator>

#include "supervisor/api/services.h"
#include "supervisor/api/stream_call.h"

namespace appd::api {
namespace {

using Events = v1::Events::Service;

class WatchCall final : public StreamCall<v1::WatchRequest, v1::WatchResponse> {
 public:
  WatchCall(CallHost& host, reconcile::Control& control) : StreamCall(host), control_(control) {}

 private:
  static constexpr std::size_t kBatch = 64;

  void start() override {
    if (request().start_revision() < 0) {
      return reject(request_invalid("start_revision",
                                    "must be 0 (for the present state first) or a revision, but "
                                    "got " +
                                        std::to_string(request().start_revision())));
    }
    if (!request().app().empty()) {
      const auto id = parse_app_name(request().app(), "app");
      if (!id) return reject(id.rejection());
      app_ = id.value();
      about("resource", request().app());
    }
    if (request().start_revision() > 0) return subscribe(request().start_revision());
    control_.snapshot(scope(app_), [me = weak(this), mailbox = host_.mailbox()](auto answer) {
      mailbox->post([me, answer = std::move(answer)] {
        if (const auto call = me.lock()) call->take_snapshot(answer);
      });
    });
  }

  void take_snapshot(const Answer<reconcile::Snapshot>& answer) {
    if (ended()) return;
    if (!answer) return reject(answer.rejection());
    state_ = answer.value();
    state_left_ = true;
    subscribe(state_.revision + 1);
  }

  void subscribe(std::int64_t from) {
    // The core calls this on its own thread and perhaps under its own lock: only a note is left.
    const auto wake = [me = weak(this), mailbox = host_.mailbox()] {
      mailbox->post([me] {
        if (const auto call = me.lock()) call->pump();
      });
    };
    auto subscription = control_.subscribe(from, scope(app_), wake);
    if (!subscription) return fail(std::move(subscription).error());
    subscription_ = *std::move(subscription);
    pump();
  }

  bool write_more(v1::WatchResponse& message) override {
    if (state_left_) {
      write_state(message);
      return true;
    }
    if (events_.empty() && subscription_ != nullptr) {
      auto next = subscription_->next(kBatch);
      if (!next) {
        fail(std::move(next).error());
        return false;
      }
      std::move(next->begin(), next->end(), std::back_inserter(events_));
    }
    if (events_.empty()) return false;  // the core wakes us up
    to_proto(*events_.front(), message);
    events_.pop_front();
    return true;
  }

  void write_state(v1::WatchResponse& message) {
    message.set_revision(state_.revision);
    to_proto(std::chrono::system_clock::now(), *message.mutable_time());
    if (written_ < state_.apps.size()) {
      to_proto(state_.apps[written_], *message.mutable_app());
    } else if (written_ < state_.apps.size() + state_.workers.size()) {
      to_proto(state_.workers[written_ - state_.apps.size()], *message.mutable_worker());
    } else {
      message.mutable_synced();
      state_left_ = false;
      state_ = {};
    }
    ++written_;
  }

  void fail(Error error) {
    if (error.reason == "REVISION_COMPACTED") {
      // Where to begin anew: with the state, at what is kept, or at what is published next.
      about("start_revision", "0");
      about("oldest_revision", std::to_string(control_.oldest_revision()));
      about("revision", std::to_string(control_.revision()));
    }
    reject({std::move(error), {}});
  }

  void on_done() override { subscription_.reset(); }

  reconcile::Control& control_;
  std::string app_;
  reconcile::Snapshot state_;
  bool state_left_ = false;
  std::size_t written_ = 0;  // of state_
  std::unique_ptr<reconcile::Subscription> subscription_;
  std::deque<model::EventPtr> events_;
};

}  // namespace

void EventsService::serve(CallHost& host) {
  serve_stream<WatchCall>(host, service_, &Events::Watch, control_);
}

}  // namespace appd::api
