// Awaitable: a Python object that is awaited like a coroutine and runs steps of ours.
//
// It has send, throw, close and __await__, so asyncio takes it for a coroutine (collections.abc),
// and am_send, so that a step costs no StopIteration.
#pragma once

#include <memory>

#include "worker/gateway/python.h"

namespace appd::gateway {

// How a step has ended: Yielded an awaitable's future, Returned its value, or Raised.
enum class StepEnd { Yielded, Returned, Raised };

// What an Awaitable runs. Under the interpreter's lock.
class Steps {
 public:
  virtual ~Steps() = default;
  // As a coroutine's send(). `result` is filled unless it has raised.
  virtual StepEnd step(PyObject* value, PyRef& result) = 0;
  // As a coroutine's throw(), with its arguments (type or instance, value, traceback).
  virtual StepEnd raise(PyObject* arguments, PyRef& result) = 0;
  // The coroutine that is driven within, borrowed, for those who look at stacks; nullptr: none.
  virtual PyObject* inner() const { return nullptr; }
};

// A new object that owns the steps; empty with an exception set.
PyRef make_awaitable(std::unique_ptr<Steps> steps);

// The same of any iterator or coroutine.
StepEnd send_into(PyObject* coroutine, PyObject* value, PyRef& result);
StepEnd raise_into(PyObject* coroutine, PyObject* arguments, PyRef& result);
// Sets the exception that throw() was given.
void set_thrown(PyObject* arguments);

}  // namespace appd::gateway
