// The spare Task and how it becomes a request's own.
#include "worker/gateway/driver.h"

namespace appd::gateway {
namespace {

constexpr const char* kDriverCapsule = "appd_worker.Driver";

PyRef attribute(const char* module, const char* name) {
  PyRef imported = PyRef::steal(PyImport_ImportModule(module));
  return imported ? PyRef::steal(PyObject_GetAttrString(imported.get(), name)) : PyRef();
}

bool call_with_task(const PyRef& function, const PyRef& loop, const PyRef& task) {
  PyRef done =
      PyRef::steal(PyObject_CallFunctionObjArgs(function.get(), loop.get(), task.get(), nullptr));
  return static_cast<bool>(done);
}

bool says(PyObject* object, PyObject* method) {
  PyRef answer = PyRef::steal(PyObject_CallMethodObjArgs(object, method, nullptr));
  bool yes = answer && PyObject_IsTrue(answer.get()) == 1;
  PyErr_Clear();
  return yes;
}

}  // namespace

void wake(PyObject* future) {
  PyRef done = PyRef::steal(PyObject_CallMethod(future, "set_result", "O", Py_None));
  if (!done) PyErr_Clear();  // it was cancelled
}

// One step of somebody's coroutine, taken within a context.
struct Driver::Step {
  PyObject* coroutine;
  PyObject* value;   // to send
  PyObject* thrown;  // or the arguments to throw
  StepEnd end = StepEnd::Raised;
};

// The coroutine of a Task: waits as a spare, then goes on with the coroutine that it was given.
class Driver::Body final : public Steps {
 public:
  explicit Body(Driver& driver) : driver_(driver) {}

  StepEnd step(PyObject* value, PyRef& result) override {
    switch (state_) {
      case State::Spare:
        if (idle_) break;  // woken without work: not wanted any more
        return wait_idle(result);
      case State::Taken:
        state_ = State::Running;
        idle_.reset();
        // A bare yield asks for the next turn of the loop, which this is.
        if (yielded_.get() == Py_None) return advance({coroutine_.get(), Py_None, nullptr}, result);
        result = std::move(yielded_);
        return StepEnd::Yielded;
      case State::Running:
        return advance({coroutine_.get(), value, nullptr}, result);
      case State::Over:
        break;
    }
    state_ = State::Over;
    result = PyRef::borrow(Py_None);
    return StepEnd::Returned;
  }

  StepEnd raise(PyObject* arguments, PyRef& result) override {
    switch (state_) {
      case State::Spare:
      case State::Over:
        if (driver_.body_ == this) driver_.body_ = nullptr;
        state_ = State::Over;
        set_thrown(arguments);
        return StepEnd::Raised;
      case State::Taken: {
        // Nobody will wait for it.
        PyRef cancelled = PyRef::steal(PyObject_CallMethod(yielded_.get(), "cancel", nullptr));
        if (!cancelled) PyErr_Clear();
        yielded_.reset();
        state_ = State::Running;
        break;
      }
      case State::Running:
        break;
    }
    return advance({coroutine_.get(), nullptr, arguments}, result);
  }

  PyObject* inner() const override { return coroutine_.get(); }

  // The coroutine has been begun, and waits for `yielded`.
  void take(PyRef coroutine, PyRef context, PyRef yielded, Completion& completion) {
    coroutine_ = std::move(coroutine);
    context_ = std::move(context);
    yielded_ = std::move(yielded);
    completion_ = &completion;
    state_ = State::Taken;
    wake_up();
  }

  // A spare that is not clean any more ends.
  void wake_up() {
    if (future_) wake(future_.get());
    future_.reset();
  }
  PyObject* future() const { return future_.get(); }

 private:
  enum class State { Spare, Taken, Running, Over };

  StepEnd wait_idle(PyRef& result) {
    future_ = driver_.make_future();
    if (!future_) return StepEnd::Raised;
    idle_ = PyRef::steal(PyObject_GetIter(future_.get()));
    return idle_ ? send_into(idle_.get(), Py_None, result) : StepEnd::Raised;
  }

  StepEnd advance(Step step, PyRef& result) {
    StepEnd end = driver_.step_in(context_.get(), step, result);
    if (end == StepEnd::Yielded) return end;
    state_ = State::Over;
    coroutine_.reset();
    completion_->on_end(end == StepEnd::Raised);
    context_.reset();
    result = PyRef::borrow(Py_None);
    return StepEnd::Returned;
  }

  Driver& driver_;
  State state_ = State::Spare;
  PyRef future_;  // that a spare waits for
  PyRef idle_;    // its iterator
  PyRef coroutine_, context_, yielded_;
  Completion* completion_ = nullptr;
};

bool Driver::prepare(PyObject* loop) {
  static PyMethodDef entry = {"step", step_entry, METH_NOARGS, "Takes one step of a coroutine."};
  loop_ = PyRef::borrow(loop);
  create_future_ = PyRef::steal(PyObject_GetAttrString(loop, "create_future"));
  create_task_ = PyRef::steal(PyObject_GetAttrString(loop, "create_task"));
  copy_context_ = attribute("contextvars", "copy_context");
  enter_task_ = attribute("asyncio.tasks", "_enter_task");
  leave_task_ = attribute("asyncio.tasks", "_leave_task");
  names_.run = PyRef::steal(PyUnicode_InternFromString("run"));
  names_.cancelling = PyRef::steal(PyUnicode_InternFromString("cancelling"));
  names_.done = PyRef::steal(PyUnicode_InternFromString("done"));
  PyRef capsule = PyRef::steal(PyCapsule_New(this, kDriverCapsule, nullptr));
  if (!capsule) return false;
  step_function_ = PyRef::steal(PyCFunction_NewEx(&entry, capsule.get(), nullptr));
  return create_future_ && create_task_ && copy_context_ && enter_task_ && leave_task_ &&
         step_function_;
}

PyRef Driver::make_future() const {
  return PyRef::steal(PyObject_CallNoArgs(create_future_.get()));
}

PyObject* Driver::step_entry(PyObject* self, PyObject*) {
  auto& driver = *static_cast<Driver*>(PyCapsule_GetPointer(self, kDriverCapsule));
  Step& step = *driver.step_;
  PyRef result;
  step.end = step.thrown != nullptr ? raise_into(step.coroutine, step.thrown, result)
                                    : send_into(step.coroutine, step.value, result);
  return result.release();
}

StepEnd Driver::step_in(PyObject* context, Step& step, PyRef& result) {
  Step* outer = std::exchange(step_, &step);
  result = PyRef::steal(
      PyObject_CallMethodObjArgs(context, names_.run.get(), step_function_.get(), nullptr));
  step_ = outer;
  return result ? step.end : StepEnd::Raised;
}

bool Driver::make_spare() {
  auto steps = std::make_unique<Body>(*this);
  Body* body = steps.get();
  PyRef coroutine = make_awaitable(std::move(steps));
  if (!coroutine) return false;
  task_ = PyRef::steal(PyObject_CallFunctionObjArgs(create_task_.get(), coroutine.get(), nullptr));
  body_ = task_ ? body : nullptr;
  return body_ != nullptr;
}

// Nobody has kept it, and nobody has asked it to end.
bool Driver::spare_is_clean(Py_ssize_t references_before) const {
  if (body_ == nullptr || Py_REFCNT(task_.get()) != references_before) return false;
  if (says(task_.get(), names_.cancelling.get())) return false;
  return body_->future() == nullptr || !says(body_->future(), names_.done.get());
}

bool Driver::run(PyRef coroutine, Completion& completion) {
  PyRef context = PyRef::steal(PyObject_CallNoArgs(copy_context_.get()));
  if (!context || (body_ == nullptr && !make_spare())) {
    completion.on_end(true);
    return true;
  }
  PyRef task = PyRef::borrow(task_.get());
  Body* body = body_;
  Py_ssize_t references = Py_REFCNT(task.get());
  if (!call_with_task(enter_task_, loop_, task)) {
    completion.on_end(true);
    return true;
  }
  Step step{coroutine.get(), Py_None, nullptr};
  PyRef result;
  StepEnd end = step_in(context.get(), step, result);
  PyObject* type = nullptr;
  PyObject* value = nullptr;
  PyObject* traceback = nullptr;
  PyErr_Fetch(&type, &value, &traceback);
  if (!call_with_task(leave_task_, loop_, task)) PyErr_Print();
  if (end == StepEnd::Yielded) {
    if (body_ == body) body_ = nullptr;
    body->take(std::move(coroutine), std::move(context), std::move(result), completion);
    return false;
  }
  // The frame may hold what shall not outlive the request.
  coroutine.reset();
  if (body_ == body && !spare_is_clean(references)) {
    body->wake_up();
    body_ = nullptr;
  }
  PyErr_Restore(type, value, traceback);
  completion.on_end(end == StepEnd::Raised);
  return true;
}

}  // namespace appd::gateway
