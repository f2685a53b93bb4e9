// Statsd: what came between two readings, in gunicorn's names. Pure; and who sends it.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "supervisor/metrics/reading.h"
#include "supervisor/runtime/datagrams.h"

namespace appd::metrics {

// Each at most kDatagram bytes of lines. "{app}" in the prefix is the app's name; apps of the same
// prefix are added up. Without `before` there are gauges only. An app that is new counts from its
// beginning.
//   PREFIX.gunicorn.requests:37|c
//   PREFIX.gunicorn.request.status.200:36|c        of statuses that are rare "4xx" and the like
//   PREFIX.gunicorn.request.duration:0.768|ms|@0.027   37 of them: the middle of a bucket
//   PREFIX.gunicorn.workers:4|g
std::vector<std::string> statsd_lines(const model::Measurement* before,
                                      const model::Measurement& now, const std::string& prefix);
inline constexpr std::size_t kDatagram = 1400;

// Sends once a second, on a thread of its own. Borrows the core, which must outlive it.
class Statsd {
 public:
  static Result<std::unique_ptr<Statsd>> start(const std::string& host, std::string prefix,
                                               reconcile::Control& control);
  ~Statsd();

 private:
  Statsd(runtime::Datagrams to, std::string prefix, reconcile::Control& control);
  void run();
  bool rest();

  const runtime::Datagrams to_;
  const std::string prefix_;
  reconcile::Control& control_;
  std::mutex mutex_;  // guards ending_
  std::condition_variable end_;
  bool ending_ = false;
  std::thread thread_;
};

}  // namespace appd::metrics
