// WatchHub: the published changes, kept for a while, and those who follow them.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <string>

#include "supervisor/reconcile/control.h"

namespace appd::reconcile {

// A bounded ring of events. Watchers hold cursors, not queues: a slow one costs no memory and is
// told REVISION_COMPACTED when its place has been given up. Any thread; publish() by the core
// thread.
class WatchHub : public std::enable_shared_from_this<WatchHub> {
 public:
  static constexpr std::size_t kKept = 8192;
  // A watcher of some apps is told of the revision when it has passed over so many events of
  // others.
  static constexpr std::int64_t kProgressEvery = 1024;

  // Revisions start behind `base`, which must be beyond those of every earlier appd on this state.
  explicit WatchHub(std::int64_t base) : last_(base) {}

  void publish(model::Event event);  // its revision is set here
  std::int64_t revision() const;
  std::int64_t oldest_revision() const;  // that is kept; the next one if none is
  Result<std::unique_ptr<Subscription>> subscribe(std::int64_t from, model::AppScope scope,
                                                  std::function<void()> wake);

 private:
  class Cursor;
  struct Watcher {
    std::function<void()> wake;
    bool waiting = false;  // next() has answered "none" since the last wake
  };
  Error compacted(std::int64_t from) const;
  std::int64_t first() const { return last_ - static_cast<std::int64_t>(ring_.size()) + 1; }

  mutable std::mutex mutex_;
  std::int64_t last_;
  std::deque<model::EventPtr> ring_;  // revisions first() … last_, without gaps
  std::list<Watcher> watchers_;
};

}  // namespace appd::reconcile
