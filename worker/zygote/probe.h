// Probe: asks a new worker whether it is well, before it takes its first client.
//
// A thread that never needs the interpreter's lock sends real requests over socket pairs; their
// other ends go to the worker's own engine, so that what answers is what clients will meet: engine,
// gateway, class and app. It counts the time too, so an app that hangs is found out.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "common/messages.h"
#include "common/result.h"
#include "common/unique_fd.h"
#include "worker/net/clock.h"

namespace appd::zygote {

// Owns its thread, which may outlive the verdict: a Probe that was started is never destroyed.
class Probe {
 public:
  struct Verdict {
    bool healthy = false;
    std::string summary;  // "health check GET /healthz answered 503, expected 200 (3 tries)"
    std::string answer;   // the last one, for people; may be empty
  };
  // What the host is to do when fd() is readable.
  struct News {
    std::vector<UniqueFd> connections;  // to be served as clients are
    bool healthy = false;               // the probe is over, and the worker may serve
  };

  static Result<std::unique_ptr<Probe>> create(const message::Settings& settings);

  // Calls `unhealthy` in the probe's thread when every try has failed.
  void start(std::function<void(const Verdict&)> unhealthy);
  int fd() const { return bell_.get(); }
  // In the host's thread.
  News take_news();

 private:
  Probe(const message::Settings& settings, UniqueFd bell)
      : settings_(settings), bell_(std::move(bell)) {}
  void run();
  Verdict ask_until_healthy();
  Verdict ask();
  void offer(UniqueFd connection);
  void ring();
  std::string wrong(const std::string& what) const;

  const message::Settings settings_;
  UniqueFd bell_;  // an eventfd
  std::function<void(const Verdict&)> unhealthy_;
  std::mutex mutex_;  // guards news_
  News news_;
};

}  // namespace appd::zygote
