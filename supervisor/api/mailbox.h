// Mailbox: how other threads reach the API's.
#pragma once

#include <grpcpp/completion_queue.h>

#include <functional>
#include <mutex>

namespace appd::api {

// What comes out of the completion queue. Called once for each time it was handed in, on the API
// thread; may end the life of the tag and of what holds it.
class Tag {
 public:
  virtual void run(bool ok) = 0;

 protected:
  ~Tag() = default;
};

// A tag that is part of its owner.
template <typename Owner>
class MemberTag final : public Tag {
 public:
  using Method = void (Owner::*)(bool);
  MemberTag(Owner* owner, Method method) : owner_(owner), method_(method) {}
  void run(bool ok) override { (owner_->*method_)(ok); }

 private:
  Owner* owner_;
  Method method_;
};

// Runs work on the API thread, in order. Any thread may post; shared by all that may post later
// than the API lives, whose work is then dropped.
class Mailbox {
 public:
  explicit Mailbox(grpc::CompletionQueue& queue) : queue_(&queue) {}

  void post(std::function<void()> work);
  // From now on everything is dropped. Before the queue is shut down.
  void close();

 private:
  std::mutex mutex_;
  grpc::CompletionQueue* queue_;  // null: closed
};

}  // namespace appd::api
