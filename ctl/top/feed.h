// What happens beside the keys of `appctl top`: the stream of figures, and the changes that keys
// asked for. Each in threads of its own, which ring when there is news for the one that draws.
#pragma once

#include <condition_variable>
#include <future>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "appd/v1/stats.pb.h"
#include "common/result.h"
#include "common/unique_fd.h"
#include "ctl/client.h"
#include "ctl/top/view.h"

namespace appd::ctl {

struct ConnectionLost {};
// How a change ended, for the bottom line.
struct WishEnded {
  std::string app;
  std::string text;
  bool failed = false;
};
// The stream cannot go on, and trying again would not help.
struct FeedFailed {
  CallError error;
};
using TopNews = std::variant<v1::WatchStatsResponse, ConnectionLost, WishEnded, FeedFailed>;

// Borrows the client. The members are for one thread, which is not one of its own.
class TopFeed {
 public:
  static Result<std::unique_ptr<TopFeed>> start(Client& client, v1::WatchStatsRequest request);
  ~TopFeed();
  TopFeed(const TopFeed&) = delete;
  TopFeed& operator=(const TopFeed&) = delete;

  // Readable while there is news.
  int fd() const { return bell_.get(); }
  std::vector<TopNews> take();
  // The end of it comes as news.
  void carry_out(TopWish wish);

 private:
  TopFeed(Client& client, UniqueFd bell) : client_(client), bell_(std::move(bell)) {}
  void follow(const std::stop_token& stopped, const v1::WatchStatsRequest& request);
  void run(const std::stop_token& stopped, const TopWish& wish, std::promise<void>& begun);
  void tell(TopNews news);

  Client& client_;
  UniqueFd bell_;
  std::mutex mutex_;  // guards what follows
  std::condition_variable_any stopping_;
  std::vector<TopNews> news_;
  StatsStream* stream_ = nullptr;        // the present one, to be cancelled
  std::vector<std::jthread> threads_;    // of the one thread, as is:
  std::shared_future<void> last_begun_;  // the change that was asked for last has reached appd
};

}  // namespace appd::ctl
