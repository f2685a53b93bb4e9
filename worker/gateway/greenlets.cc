// A greenlet begins at once, and most end before they ever wait.
#include "worker/gateway/greenlets.h"

#include <utility>

#include "worker/gateway/report.h"

namespace appd::gateway {
namespace {

constexpr const char* kGreenletsCapsule = "appd_worker.Greenlets";

}  // namespace

// A request whose greenlet waits for something.
class Greenlets::Waiting final : public engine::ExchangeObserver {
 public:
  Waiting(Greenlets& owner, engine::Exchange& exchange, PyRef greenlet)
      : owner_(owner), exchange_(exchange), greenlet_(std::move(greenlet)) {}

  void on_change() override {}
  // In the hub, to which the greenlet comes back when it waits anew or ends.
  void on_overdue() override {
    // We may be gone before it comes back.
    std::uint32_t worker = owner_.worker_;
    PyRef greenlet = PyRef::borrow(greenlet_.get());
    report_overdue(worker, exchange_);
    PyRef thrown =
        PyRef::steal(PyObject_CallMethod(greenlet.get(), "throw", "O", request_timeout()));
    if (!thrown) report_exception(worker, nullptr);
  }

 private:
  Greenlets& owner_;
  engine::Exchange& exchange_;
  PyRef greenlet_;
};

Greenlets::Greenlets(PyRef app, LoopHost& host, std::uint32_t worker)
    : host_(host), wsgi_(std::move(app), worker), worker_(worker) {}

Greenlets::~Greenlets() = default;

bool Greenlets::set_spawn(PyObject* spawn) {
  if (request_timeout() == nullptr) return false;
  static PyMethodDef entry = {"serve_request", run_entry, METH_NOARGS, "Answers one request."};
  if (spawn == Py_None) return true;
  spawn_ = PyRef::borrow(spawn);
  PyRef capsule = PyRef::steal(PyCapsule_New(this, kGreenletsCapsule, nullptr));
  if (!capsule) return false;
  run_function_ = PyRef::steal(PyCFunction_NewEx(&entry, capsule.get(), nullptr));
  return static_cast<bool>(run_function_);
}

void Greenlets::start(engine::Exchange& exchange, engine::Lane& lane) {
  next_ = &exchange;
  if (!spawn_) return run();
  waiting_ = true;
  PyRef spawned =
      PyRef::steal(PyObject_CallFunctionObjArgs(spawn_.get(), run_function_.get(), nullptr));
  if (spawned) {
    // It waits for something: by then the lane belongs to another request.
    if (!waiting_) return;
    exchange.keep_head(lane);
    auto waiting = std::make_unique<Waiting>(*this, exchange, std::move(spawned));
    exchange.observe(waiting.get());
    waiting_requests_[&exchange] = std::move(waiting);
    return;
  }
  report_exception(worker_, waiting_ ? &exchange : nullptr);
  if (next_ == nullptr) return;  // it had begun, and has ended its request
  next_ = nullptr;
  exchange.fail(500);
  host_.finish(exchange);
}

PyObject* Greenlets::run_entry(PyObject* self, PyObject*) {
  static_cast<Greenlets*>(PyCapsule_GetPointer(self, kGreenletsCapsule))->run();
  Py_INCREF(Py_None);
  return Py_None;
}

void Greenlets::run() {
  engine::Exchange& exchange = *std::exchange(next_, nullptr);
  std::unique_ptr<StartResponse> start_response;
  if (free_.empty()) {
    start_response = std::make_unique<StartResponse>();
  } else {
    start_response = std::move(free_.back());
    free_.pop_back();
  }
  wsgi_.serve(exchange, *start_response);
  free_.push_back(std::move(start_response));
  waiting_ = false;
  waiting_requests_.erase(&exchange);
  host_.finish(exchange);
}

}  // namespace appd::gateway
