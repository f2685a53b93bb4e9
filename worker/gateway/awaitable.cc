// The type's slots, and the two ways to drive somebody else's coroutine.
#include "worker/gateway/awaitable.h"

namespace appd::gateway {
namespace {

struct Object {
  PyObject_HEAD Steps* steps;
};

Steps& steps_of(PyObject* self) { return *reinterpret_cast<Object*>(self)->steps; }

PySendResult am_send(PyObject* self, PyObject* value, PyObject** result) {
  PyRef out;
  StepEnd end = steps_of(self).step(value, out);
  *result = out.release();
  switch (end) {
    case StepEnd::Yielded:
      return PYGEN_NEXT;
    case StepEnd::Returned:
      return PYGEN_RETURN;
    case StepEnd::Raised:
      return PYGEN_ERROR;
  }
  return PYGEN_ERROR;
}

// As iterators and send() want it: a returned value is a StopIteration.
PyObject* as_generator(StepEnd end, PyRef result) {
  if (end == StepEnd::Yielded) return result.release();
  if (end == StepEnd::Returned) {
    PyRef stop = PyRef::steal(PyObject_CallFunctionObjArgs(
        PyExc_StopIteration, result.get() == Py_None ? nullptr : result.get(), nullptr));
    if (stop) PyErr_SetObject(PyExc_StopIteration, stop.get());
  }
  return nullptr;
}

PyObject* send(PyObject* self, PyObject* value) {
  PyRef result;
  StepEnd end = steps_of(self).step(value, result);
  return as_generator(end, std::move(result));
}

PyObject* iternext(PyObject* self) { return send(self, Py_None); }

PyObject* raise(PyObject* self, PyObject* arguments) {
  PyRef result;
  StepEnd end = steps_of(self).raise(arguments, result);
  return as_generator(end, std::move(result));
}

PyObject* close(PyObject* self, PyObject*) {
  PyRef arguments = PyRef::steal(PyTuple_Pack(1, PyExc_GeneratorExit));
  if (!arguments) return nullptr;
  PyRef result;
  if (steps_of(self).raise(arguments.get(), result) == StepEnd::Yielded) {
    PyErr_SetString(PyExc_RuntimeError, "coroutine ignored GeneratorExit");
    return nullptr;
  }
  PyErr_Clear();  // its own GeneratorExit
  Py_INCREF(Py_None);
  return Py_None;
}

PyObject* itself(PyObject* self) {
  Py_INCREF(self);
  return self;
}

// As a coroutine's cr_await: who follows it comes to the app's own frames.
PyObject* inner_of(PyObject* self, void*) {
  PyObject* inner = steps_of(self).inner();
  if (inner == nullptr) inner = Py_None;
  Py_INCREF(inner);
  return inner;
}

void deallocate(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);
  delete reinterpret_cast<Object*>(self)->steps;
  PyObject_Free(self);
  Py_DECREF(type);
}

PyMethodDef methods[] = {
    {"send", send, METH_O, "As a coroutine's."},
    {"throw", raise, METH_VARARGS, "As a coroutine's."},
    {"close", close, METH_NOARGS, "As a coroutine's."},
    {nullptr, nullptr, 0, nullptr},
};

PyGetSetDef members[] = {
    {"cr_await", inner_of, nullptr, "The coroutine that is driven within.", nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

PyType_Slot slots[] = {
    {Py_tp_dealloc, reinterpret_cast<void*>(deallocate)},
    {Py_tp_getset, members},
    {Py_tp_iter, reinterpret_cast<void*>(itself)},
    {Py_tp_iternext, reinterpret_cast<void*>(iternext)},
    {Py_am_await, reinterpret_cast<void*>(itself)},
    {Py_am_send, reinterpret_cast<void*>(am_send)},
    {Py_tp_methods, methods},
    {0, nullptr},
};
PyType_Spec spec = {"appd_worker.Awaitable", sizeof(Object), 0, Py_TPFLAGS_DEFAULT, slots};

}  // namespace

PyRef make_awaitable(std::unique_ptr<Steps> steps) {
  static PyObject* type = PyType_FromSpec(&spec);
  if (type == nullptr) return {};
  PyRef object = PyRef::steal(PyType_GenericAlloc(reinterpret_cast<PyTypeObject*>(type), 0));
  if (object) reinterpret_cast<Object*>(object.get())->steps = steps.release();
  return object;
}

StepEnd send_into(PyObject* coroutine, PyObject* value, PyRef& result) {
  PyObject* out = nullptr;
  PySendResult end = PyIter_Send(coroutine, value, &out);
  result = PyRef::steal(out);
  if (end == PYGEN_NEXT) return StepEnd::Yielded;
  return end == PYGEN_RETURN ? StepEnd::Returned : StepEnd::Raised;
}

StepEnd raise_into(PyObject* coroutine, PyObject* arguments, PyRef& result) {
  PyRef method = PyRef::steal(PyObject_GetAttrString(coroutine, "throw"));
  if (!method) {
    PyErr_Clear();
    set_thrown(arguments);
    return StepEnd::Raised;
  }
  result = PyRef::steal(PyObject_CallObject(method.get(), arguments));
  if (result) return StepEnd::Yielded;
  if (PyErr_ExceptionMatches(PyExc_StopIteration) == 0) return StepEnd::Raised;
  PyObject* type = nullptr;
  PyObject* value = nullptr;
  PyObject* traceback = nullptr;
  PyErr_Fetch(&type, &value, &traceback);
  PyErr_NormalizeException(&type, &value, &traceback);
  result = PyRef::steal(PyObject_GetAttrString(value, "value"));
  Py_XDECREF(type);
  Py_XDECREF(value);
  Py_XDECREF(traceback);
  return result ? StepEnd::Returned : StepEnd::Raised;
}

void set_thrown(PyObject* arguments) {
  PyObject* type = PyTuple_Size(arguments) > 0 ? PyTuple_GetItem(arguments, 0) : nullptr;
  PyObject* value = PyTuple_Size(arguments) > 1 ? PyTuple_GetItem(arguments, 1) : Py_None;
  if (type == nullptr) {
    PyErr_SetString(PyExc_TypeError, "throw() takes an exception");
  } else if (PyExceptionInstance_Check(type)) {
    PyErr_SetObject(PyExceptionInstance_Class(type), type);
  } else {
    PyErr_SetObject(type, value == Py_None ? nullptr : value);
  }
}

}  // namespace appd::gateway
