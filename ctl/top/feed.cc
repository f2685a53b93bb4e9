// The threads of top.
#include "ctl/top/feed.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "ctl/render.h"

namespace appd::ctl {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kFirstDelay{100};
constexpr milliseconds kLongestDelay{5'000};
// So often a thread that waits for a change looks whether top is being left.
constexpr milliseconds kLook{500};

std::string words_of(const v1::Operation& operation) {
  if (operation.phase() == v1::Operation::SUCCEEDED) {
    const std::int32_t ready = operation.progress().ready_workers();
    return words(v1::Operation::Kind_Name(operation.kind())) + " done, " + std::to_string(ready) +
           (ready == 1 ? " worker ready" : " workers ready");
  }
  return phase_text(operation.phase()) + ": " + operation.error().message();
}

}  // namespace

Result<std::unique_ptr<TopFeed>> TopFeed::start(Client& client, v1::WatchStatsRequest request) {
  UniqueFd bell(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!bell) return sys_error("TOP_FAILED", "make an eventfd", errno);
  std::unique_ptr<TopFeed> feed(new TopFeed(client, std::move(bell)));
  TopFeed& self = *feed;
  self.threads_.emplace_back([&self, request = std::move(request)](const std::stop_token& stopped) {
    self.follow(stopped, request);
  });
  return feed;
}

TopFeed::~TopFeed() {
  for (std::jthread& thread : threads_) thread.request_stop();
  {
    const std::lock_guard lock(mutex_);
    if (stream_ != nullptr) stream_->cancel();
  }
  stopping_.notify_all();
  threads_.clear();  // waits for each
}

void TopFeed::tell(TopNews news) {
  {
    const std::lock_guard lock(mutex_);
    // Of figures only the newest count.
    if (std::holds_alternative<v1::WatchStatsResponse>(news)) {
      std::erase_if(news_, [](const TopNews& each) {
        return std::holds_alternative<v1::WatchStatsResponse>(each);
      });
    }
    news_.push_back(std::move(news));
  }
  const std::uint64_t one = 1;
  if (::write(bell_.get(), &one, sizeof(one)) < 0) return;  // full: it rings already
}

std::vector<TopNews> TopFeed::take() {
  std::uint64_t rings = 0;
  if (::read(bell_.get(), &rings, sizeof(rings)) < 0) return {};
  const std::lock_guard lock(mutex_);
  return std::exchange(news_, {});
}

void TopFeed::follow(const std::stop_token& stopped, const v1::WatchStatsRequest& request) {
  milliseconds delay = kFirstDelay;
  bool reached = false;
  while (!stopped.stop_requested()) {
    StatsStream stream = client_.watch_stats(request);
    {
      const std::lock_guard lock(mutex_);
      stream_ = &stream;
    }
    if (stopped.stop_requested()) stream.cancel();
    v1::WatchStatsResponse stats;
    while (stream.next(stats)) {
      reached = true;
      delay = kFirstDelay;
      tell(std::move(stats));
    }
    {
      const std::lock_guard lock(mutex_);
      stream_ = nullptr;
    }
    CallError error = *stream.error();
    if (stopped.stop_requested()) return;
    if (!reached || error.code != Code::Unavailable) return tell(FeedFailed{std::move(error)});
    tell(ConnectionLost{});
    std::unique_lock lock(mutex_);
    stopping_.wait_for(lock, stopped, delay, [] { return false; });
    delay = std::min(2 * delay, kLongestDelay);
  }
}

void TopFeed::carry_out(TopWish wish) {
  // Appd is told of changes in the order of the keys; each is waited for on its own.
  std::promise<void> begun;
  std::shared_future<void> before = std::exchange(last_begun_, begun.get_future().share());
  threads_.emplace_back([this, wish = std::move(wish), before = std::move(before),
                         begun = std::move(begun)](const std::stop_token& stopped) mutable {
    if (before.valid()) before.wait();
    run(stopped, wish, begun);
  });
}

// Leaving top leaves the change to itself.
void TopFeed::run(const std::stop_token& stopped, const TopWish& wish, std::promise<void>& begun) {
  const std::string name = "apps/" + wish.app;
  const auto begin = [&]() -> Outcome<v1::Operation> {
    if (wish.kind == TopWish::Kind::Scale) {
      v1::ScaleAppRequest request;
      request.set_name(name);
      request.set_workers(wish.workers);
      request.set_request_id(new_request_id());
      request.set_reason("appctl top");
      return client_.scale_app(request);
    }
    v1::ReloadAppRequest request;
    request.set_name(name);
    request.set_request_id(new_request_id());
    request.set_reason("appctl top");
    return client_.reload_app(request);
  };
  Outcome<v1::Operation> operation = begin();
  begun.set_value();
  while (operation && !operation->done() && !stopped.stop_requested()) {
    operation = client_.wait_operation(operation->name(), kLook);
  }
  if (!operation) {
    const CallError& error = operation.error();
    const std::string why = error.unreachable.empty() ? error.message : error.unreachable;
    return tell(WishEnded{wish.app, wish.app + ": refused: " + why, true});
  }
  // A later change of ours tells its own end.
  if (!operation->done() || operation->phase() == v1::Operation::SUPERSEDED) return;
  tell(WishEnded{wish.app, wish.app + ": " + words_of(*operation),
                 operation->phase() != v1::Operation::SUCCEEDED});
}

}  // namespace appd::ctl
