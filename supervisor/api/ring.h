// Ring: a moment at which the API thread has something to do.
#pragma once

#include <grpcpp/alarm.h>

#include <chrono>
#include <functional>
#include <utility>

#include "supervisor/api/mailbox.h"

namespace appd::api {

// Rings once, unless it is stopped. API thread only. Its own owner until the queue has given it
// back.
class Ring final : public Tag {
 public:
  Ring(grpc::CompletionQueue& queue, std::chrono::system_clock::time_point at,
       std::function<void()> ring)
      : ring_(std::move(ring)) {
    alarm_.Set(&queue, at, static_cast<Tag*>(this));
  }
  void stop() {
    stopped_ = true;  // it may be on its way already
    alarm_.Cancel();
  }
  void run(bool ok) override {
    if (ok && !stopped_) ring_();
    delete this;
  }

 private:
  std::function<void()> ring_;
  bool stopped_ = false;
  grpc::Alarm alarm_;
};

}  // namespace appd::api
