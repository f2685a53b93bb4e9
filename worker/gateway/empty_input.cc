// io's reading interface over nothing at all.
#include "worker/gateway/empty_input.h"

namespace appd::gateway {
namespace {

PyObject* no_bytes(PyObject*, PyObject*) { return PyBytes_FromStringAndSize("", 0); }
PyObject* no_lines(PyObject*, PyObject*) { return PyList_New(0); }
PyObject* yes(PyObject*, PyObject*) { return PyBool_FromLong(1); }
PyObject* no(PyObject*, PyObject*) { return PyBool_FromLong(0); }
PyObject* nothing(PyObject*, PyObject*) {
  Py_INCREF(Py_None);
  return Py_None;
}
PyObject* zero(PyObject*, PyObject*) { return PyLong_FromLong(0); }
PyObject* itself(PyObject* self) {
  Py_INCREF(self);
  return self;
}
PyObject* no_next(PyObject*) { return nullptr; }  // StopIteration
PyObject* not_closed(PyObject*, void*) { return PyBool_FromLong(0); }

void deallocate(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);
  PyObject_Free(self);
  Py_DECREF(type);
}

PyMethodDef methods[] = {
    {"read", no_bytes, METH_VARARGS, "b''"},
    {"read1", no_bytes, METH_VARARGS, "b''"},
    {"readline", no_bytes, METH_VARARGS, "b''"},
    {"readlines", no_lines, METH_VARARGS, "[]"},
    {"readinto", zero, METH_VARARGS, "0"},
    {"readable", yes, METH_NOARGS, "True"},
    {"writable", no, METH_NOARGS, "False"},
    {"seekable", no, METH_NOARGS, "False"},
    {"close", nothing, METH_NOARGS, "Does nothing: the object is shared."},
    {"flush", nothing, METH_NOARGS, "Does nothing."},
    {nullptr, nullptr, 0, nullptr},
};
PyGetSetDef properties[] = {
    {"closed", not_closed, nullptr, "False", nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};
PyType_Slot slots[] = {
    {Py_tp_methods, methods},
    {Py_tp_getset, properties},
    {Py_tp_iter, reinterpret_cast<void*>(itself)},
    {Py_tp_iternext, reinterpret_cast<void*>(no_next)},
    {Py_tp_dealloc, reinterpret_cast<void*>(deallocate)},
    {0, nullptr},
};
PyType_Spec spec = {"appd_worker.EmptyInput", sizeof(PyObject), 0, Py_TPFLAGS_DEFAULT, slots};

}  // namespace

PyObject* make_empty_input() {
  PyRef type = PyRef::steal(PyType_FromSpec(&spec));
  if (!type) return nullptr;
  return PyType_GenericAlloc(reinterpret_cast<PyTypeObject*>(type.get()), 0);
}

}  // namespace appd::gateway
