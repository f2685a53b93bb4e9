// The hold on a detached connection, as a capsule.
#include "worker/gateway/detached.h"

#include <memory>
#include <string>
#include <utility>

namespace appd::gateway {
namespace {

constexpr const char* kHoldCapsule = "appd_worker.Hold";

// Owned by its capsule, and then by the host's list until it has acted.
class Hold final : public Deferred {
 public:
  Hold(LoopHost& host, engine::Exchange& exchange) : host_(host), exchange_(exchange) {}

  // The capsule may go anywhere: within a collection of garbage, in another thread even.
  static void let_go(PyObject* capsule) {
    auto* hold = static_cast<Hold*>(PyCapsule_GetPointer(capsule, kHoldCapsule));
    hold->host_.defer(*hold);
    hold->host_.engine().wake();
  }

  void act() override {
    host_.close_upgraded(exchange_);
    delete this;
  }

 private:
  LoopHost& host_;
  engine::Exchange& exchange_;
};

}  // namespace

PyRef detach(LoopHost& host, engine::Exchange*& exchange) {
  auto hold = std::make_unique<Hold>(host, *exchange);
  // Without a destructor until there is something to let go.
  PyRef capsule = PyRef::steal(PyCapsule_New(hold.get(), kHoldCapsule, nullptr));
  if (!capsule) return {};
  std::string received;
  UniqueFd socket = host.detach(*std::exchange(exchange, nullptr), received);
  (void)hold.release();  // the capsule has it
  PyCapsule_SetDestructor(capsule.get(), Hold::let_go);
  PyRef parts =
      PyRef::steal(Py_BuildValue("(iy#O)", socket.get(), received.data(),
                                 static_cast<Py_ssize_t>(received.size()), capsule.get()));
  if (parts) socket.release();
  return parts;
}

}  // namespace appd::gateway
