// Each piece of work travels through the completion queue as an alarm that has gone off already,
// gRPC's own way to inject an event.
#include "supervisor/api/mailbox.h"

#include <grpcpp/alarm.h>

namespace appd::api {
namespace {

class Parcel final : public Tag {
 public:
  explicit Parcel(std::function<void()> work) : work_(std::move(work)) {}
  void send(grpc::CompletionQueue* queue) {
    alarm_.Set(queue, gpr_inf_past(GPR_CLOCK_MONOTONIC), static_cast<Tag*>(this));
  }
  void run(bool) override {
    work_();
    delete this;
  }

 private:
  std::function<void()> work_;
  grpc::Alarm alarm_;
};

}  // namespace

void Mailbox::post(std::function<void()> work) {
  // Under the lock: nothing may enter the queue once it is shut down.
  const std::lock_guard lock(mutex_);
  if (queue_ == nullptr) return;
  (new Parcel(std::move(work)))->send(queue_);
}

void Mailbox::close() {
  const std::lock_guard lock(mutex_);
  queue_ = nullptr;
}

}  // namespace appd::api
