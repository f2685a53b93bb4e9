// From Python's buffers to the log.
#include "worker/zygote/streams.h"

#include <string_view>

#include "worker/net/log_output.h"

namespace appd::zygote {
namespace {

PyObject* write_to(int descriptor, PyObject* data) {
  Py_buffer view{};
  if (PyObject_GetBuffer(data, &view, PyBUF_SIMPLE) < 0) return nullptr;
  {
    gateway::GilRelease release;  // a disk may be slow
    net::write_log(descriptor,
                   {static_cast<const char*>(view.buf), static_cast<std::size_t>(view.len)});
  }
  PyObject* length = PyLong_FromSsize_t(view.len);
  PyBuffer_Release(&view);
  return length;
}

}  // namespace

PyObject* write_stdout(PyObject*, PyObject* data) { return write_to(1, data); }
PyObject* write_stderr(PyObject*, PyObject* data) { return write_to(2, data); }

}  // namespace appd::zygote
