// FileWrapper: wsgi.file_wrapper (PEP 3333, "Optional Platform-Specific File Handling").
#pragma once

#include <optional>

#include "worker/engine/output.h"
#include "worker/gateway/python.h"

namespace appd::gateway {

// FileWrapper(filelike, blksize=8192), borrowed; nullptr with an exception set. An instance is an
// iterator over what is read in blocks; close() closes the file, once however often it is called.
PyObject* file_wrapper_type();

// Exactly that type: what an app has wrapped again is for iterating only.
bool is_file_wrapper(PyObject* object);

// What reading the wrapped file to its end would give, as bytes of a descriptor of our own, so that
// the wrapper may be closed before they are sent. Nothing when only reading can tell: anything but
// io's own binary files (a GzipFile has a fileno() too), pipes and sockets, files of no size.
// Never leaves an exception set.
std::optional<engine::FilePiece> file_behind(PyObject* wrapper);

}  // namespace appd::gateway
