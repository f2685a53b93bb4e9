// What stands behind sys.stdout and sys.stderr of an app (appd_streams.py).
#pragma once

#include "worker/gateway/python.h"

namespace appd::zygote {

// write(bytes-like) -> its length, always: a log that is full is no error of the app's.
PyObject* write_stdout(PyObject* module, PyObject* data);
PyObject* write_stderr(PyObject* module, PyObject* data);

}  // namespace appd::zygote
