// Ring and cursors.
#include "supervisor/reconcile/watch_hub.h"

#include <vector>

namespace appd::reconcile {

class WatchHub::Cursor : public Subscription {
 public:
  Cursor(std::shared_ptr<WatchHub> hub, std::int64_t next, model::AppScope scope,
         std::list<Watcher>::iterator me)
      : hub_(std::move(hub)), next_(next), told_(next), scope_(std::move(scope)), me_(me) {}

  ~Cursor() override {
    std::lock_guard lock(hub_->mutex_);
    hub_->watchers_.erase(me_);
  }

  Result<std::vector<model::EventPtr>> next(std::size_t limit) override {
    std::lock_guard lock(hub_->mutex_);
    if (next_ < hub_->first()) return hub_->compacted(next_);
    std::vector<model::EventPtr> events;
    for (; next_ <= hub_->last_ && events.size() < limit; ++next_) {
      const auto& event = hub_->ring_[static_cast<std::size_t>(next_ - hub_->first())];
      if (scope_.holds(event->app)) events.push_back(event);
    }
    if (!events.empty()) {
      told_ = next_;
    } else if (next_ - told_ >= kProgressEvery) {
      told_ = next_;
      const auto& passed = hub_->ring_[static_cast<std::size_t>(next_ - 1 - hub_->first())];
      events.push_back(std::make_shared<const model::Event>(
          model::Event{passed->revision, passed->time, scope_.app, model::Progress{}}));
    }
    me_->waiting = events.empty();
    return events;
  }

 private:
  std::shared_ptr<WatchHub> hub_;
  std::int64_t next_;
  std::int64_t told_;  // what next_ was when the watcher heard of a revision last
  model::AppScope scope_;
  std::list<Watcher>::iterator me_;
};

void WatchHub::publish(model::Event event) {
  // Called under the lock: a watcher that ends must find its wake function gone or done.
  std::lock_guard lock(mutex_);
  event.revision = ++last_;
  ring_.push_back(std::make_shared<const model::Event>(std::move(event)));
  if (ring_.size() > kKept) ring_.pop_front();
  for (Watcher& watcher : watchers_) {
    if (std::exchange(watcher.waiting, false)) watcher.wake();
  }
}

std::int64_t WatchHub::revision() const {
  std::lock_guard lock(mutex_);
  return last_;
}

std::int64_t WatchHub::oldest_revision() const {
  std::lock_guard lock(mutex_);
  return first();
}

Result<std::unique_ptr<Subscription>> WatchHub::subscribe(std::int64_t from, model::AppScope scope,
                                                          std::function<void()> wake) {
  std::lock_guard lock(mutex_);
  // From beyond the last: of an earlier appd, whose clock was ahead of ours.
  if (from < first() || from > last_ + 1) return compacted(from);
  auto me = watchers_.insert(watchers_.end(), Watcher{std::move(wake), false});
  return std::unique_ptr<Subscription>(new Cursor(shared_from_this(), from, std::move(scope), me));
}

Error WatchHub::compacted(std::int64_t from) const {
  return {ErrorCode::OutOfRange, "REVISION_COMPACTED",
          "revision " + std::to_string(from) + " is not kept; the oldest is " +
              std::to_string(first()) + ": list anew and watch from there",
          0};
}

}  // namespace appd::reconcile
