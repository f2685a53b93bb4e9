// Driver: runs the coroutines of an ASGI app on an asyncio event loop, each in a context of its
// own.
//
// A coroutine is begun at once, and one that never really waits costs no Task: it is entered under
// a spare Task that is kept for this, which stays spare if the coroutine ends there and nobody has
// kept the Task. If the coroutine waits, the spare becomes its Task. So current_task(), timeouts
// and task groups see one Task from the first step to the last.
#pragma once

#include "worker/gateway/awaitable.h"

namespace appd::gateway {

// Is told how a coroutine has ended.
struct Completion {
  // Raised: an exception is set, and is to be taken.
  virtual void on_end(bool raised) = 0;

 protected:
  ~Completion() = default;
};

// Owns the spare Task. Under the interpreter's lock, in the loop's thread; lives as long as the
// process, because Tasks refer to it.
class Driver {
 public:
  // False with an exception set.
  bool prepare(PyObject* loop);
  // Takes the first step. True: that was the last one, and the completion was told; otherwise it
  // must live until it is.
  bool run(PyRef coroutine, Completion& completion);
  // The Task of the coroutine for which run() has said false just now; borrowed.
  PyObject* taken() const { return task_.get(); }
  // A new future of the loop; empty with an exception set.
  PyRef make_future() const;

 private:
  class Body;
  struct Step;

  bool make_spare();
  bool spare_is_clean(Py_ssize_t references_before) const;
  StepEnd step_in(PyObject* context, Step& step, PyRef& result);
  static PyObject* step_entry(PyObject* self, PyObject* unused);

  PyRef loop_, create_future_, create_task_, copy_context_, enter_task_, leave_task_;
  PyRef step_function_;  // step_entry as a callable, for Context.run
  struct {
    PyRef run, cancelling, done;
  } names_;
  Step* step_ = nullptr;
  PyRef task_;            // the spare
  Body* body_ = nullptr;  // of the spare, which owns it; nullptr when there is no spare
};

// Makes a future ready, if nobody has cancelled it.
void wake(PyObject* future);

}  // namespace appd::gateway
