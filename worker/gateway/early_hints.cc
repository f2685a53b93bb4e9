// A callable with a pointer.
#include "worker/gateway/early_hints.h"

#include "worker/gateway/start_response.h"

namespace appd::gateway {
namespace {

struct EarlyHints {
  PyObject_HEAD engine::Exchange* exchange;
};

engine::Exchange*& exchange_of(PyObject* self) {
  return reinterpret_cast<EarlyHints*>(self)->exchange;
}

PyObject* call(PyObject* self, PyObject* args, PyObject* keywords) {
  static const char* names[] = {"headers", nullptr};
  PyObject* headers = nullptr;
  if (!PyArg_ParseTupleAndKeywords(args, keywords, "O", const_cast<char**>(names), &headers)) {
    return nullptr;
  }
  PyRef list = PyRef::steal(PySequence_List(headers));
  if (!list) return nullptr;
  if (exchange_of(self) == nullptr) {
    PyErr_SetString(PyExc_RuntimeError, "the request is over, nothing can be sent any more");
    return nullptr;
  }
  http::ResponseHead hints;
  hints.start("103 Early Hints");
  for (Py_ssize_t i = 0; i < PyList_Size(list.get()); ++i) {
    if (!add_header(hints, PyList_GetItem(list.get(), i))) return nullptr;
  }
  exchange_of(self)->send_interim(hints);
  Py_INCREF(Py_None);
  return Py_None;
}

void deallocate(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);
  PyObject_Free(self);
  Py_DECREF(type);
}

PyType_Slot slots[] = {
    {Py_tp_call, reinterpret_cast<void*>(call)},
    {Py_tp_dealloc, reinterpret_cast<void*>(deallocate)},
    {0, nullptr},
};
PyType_Spec spec = {"appd_worker.EarlyHints", sizeof(EarlyHints), 0, Py_TPFLAGS_DEFAULT, slots};

}  // namespace

PyRef make_early_hints() {
  static PyObject* type = PyType_FromSpec(&spec);
  if (type == nullptr) return {};
  return PyRef::steal(PyType_GenericAlloc(reinterpret_cast<PyTypeObject*>(type), 0));
}

void bind_early_hints(PyObject* early_hints, engine::Exchange* exchange) {
  exchange_of(early_hints) = exchange;
}

}  // namespace appd::gateway
