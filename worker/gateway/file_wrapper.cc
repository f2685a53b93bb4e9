// The wrapper's type, and finding the descriptor behind what it wraps.
#include "worker/gateway/file_wrapper.h"

#include <fcntl.h>
#include <sys/stat.h>

namespace appd::gateway {
namespace {

constexpr Py_ssize_t kBlockSize = 8192;

struct FileWrapper {
  PyObject_HEAD PyObject* file;  // owned; null once closed
  Py_ssize_t block_size;
};

FileWrapper& wrapper_of(PyObject* self) { return *reinterpret_cast<FileWrapper*>(self); }

PyObject* create(PyTypeObject* type, PyObject* args, PyObject* keywords) {
  static const char* names[] = {"filelike", "blksize", nullptr};
  PyObject* file = nullptr;
  Py_ssize_t block_size = kBlockSize;
  if (!PyArg_ParseTupleAndKeywords(args, keywords, "O|n", const_cast<char**>(names), &file,
                                   &block_size)) {
    return nullptr;
  }
  PyObject* self = PyType_GenericAlloc(type, 0);
  if (self == nullptr) return nullptr;
  Py_INCREF(file);
  wrapper_of(self).file = file;
  wrapper_of(self).block_size = block_size;
  return self;
}

PyObject* itself(PyObject* self) {
  Py_INCREF(self);
  return self;
}

PyObject* next(PyObject* self) {
  if (wrapper_of(self).file == nullptr) {
    PyErr_SetString(PyExc_ValueError, "the wrapped file is closed");
    return nullptr;
  }
  PyRef file = PyRef::borrow(wrapper_of(self).file);
  PyRef block =
      PyRef::steal(PyObject_CallMethod(file.get(), "read", "n", wrapper_of(self).block_size));
  if (!block || PyObject_IsTrue(block.get()) != 1) return nullptr;  // at the end: StopIteration
  return block.release();
}

PyObject* close(PyObject* self, PyObject*) {
  PyRef file = PyRef::steal(std::exchange(wrapper_of(self).file, nullptr));
  PyRef method;
  if (file) {
    method = PyRef::steal(PyObject_GetAttrString(file.get(), "close"));
    if (!method) PyErr_Clear();  // it has none, which PEP 3333 permits
  }
  if (method) return PyObject_CallObject(method.get(), nullptr);
  Py_INCREF(Py_None);
  return Py_None;
}

PyObject* get_file(PyObject* self, void*) {
  PyObject* file = wrapper_of(self).file == nullptr ? Py_None : wrapper_of(self).file;
  Py_INCREF(file);
  return file;
}

PyObject* get_block_size(PyObject* self, void*) {
  return PyLong_FromSsize_t(wrapper_of(self).block_size);
}

int traverse(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(Py_TYPE(self));
  Py_VISIT(wrapper_of(self).file);
  return 0;
}

int clear(PyObject* self) {
  Py_CLEAR(wrapper_of(self).file);
  return 0;
}

void deallocate(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);
  PyObject_GC_UnTrack(self);
  clear(self);
  PyObject_GC_Del(self);
  Py_DECREF(type);
}

PyMethodDef methods[] = {
    {"close", close, METH_NOARGS, "Closes the wrapped file."},
    {nullptr, nullptr, 0, nullptr},
};
PyGetSetDef properties[] = {
    {"filelike", get_file, nullptr, "The wrapped file; None once closed.", nullptr},
    {"blksize", get_block_size, nullptr, "How much is read at once.", nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};
PyType_Slot slots[] = {
    {Py_tp_new, reinterpret_cast<void*>(create)},
    {Py_tp_dealloc, reinterpret_cast<void*>(deallocate)},
    {Py_tp_traverse, reinterpret_cast<void*>(traverse)},
    {Py_tp_clear, reinterpret_cast<void*>(clear)},
    {Py_tp_iter, reinterpret_cast<void*>(itself)},
    {Py_tp_iternext, reinterpret_cast<void*>(next)},
    {Py_tp_methods, methods},
    {Py_tp_getset, properties},
    {0, nullptr},
};
PyType_Spec spec = {"appd_worker.FileWrapper", sizeof(FileWrapper), 0,
                    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC, slots};

PyRef attribute(const PyRef& object, const char* name) {
  return PyRef::steal(object ? PyObject_GetAttrString(object.get(), name) : nullptr);
}

// The object that really reads when `file.read` is called: the io object behind Django's File or
// tempfile's wrapper, or the file itself.
PyRef reader_behind(PyObject* file) {
  PyRef read = attribute(PyRef::borrow(file), "read");
  if (PyRef wrapped = attribute(read, "__wrapped__")) {
    read = std::move(wrapped);
  } else {
    PyErr_Clear();
  }
  return attribute(read, "__self__");
}

bool is_exactly(const PyRef& object, const PyRef& type) {
  return reinterpret_cast<PyObject*>(Py_TYPE(object.get())) == type.get();
}

// An io object whose bytes are those of its descriptor.
bool is_plain_file(const PyRef& reader) {
  PyRef io = PyRef::steal(PyImport_ImportModule("io"));
  PyRef file_io = attribute(io, "FileIO");
  PyRef buffered_reader = attribute(io, "BufferedReader");
  PyRef buffered_random = attribute(io, "BufferedRandom");
  if (!file_io || !buffered_reader || !buffered_random) return false;
  if (is_exactly(reader, file_io)) return true;
  if (!is_exactly(reader, buffered_reader) && !is_exactly(reader, buffered_random)) return false;
  PyRef raw = attribute(reader, "raw");
  return raw && is_exactly(raw, file_io);
}

std::optional<engine::FilePiece> piece_of(const PyRef& reader) {
  // What was written to it and is not in the file yet; and where reading would go on.
  PyRef flushed = PyRef::steal(PyObject_CallMethod(reader.get(), "flush", nullptr));
  PyRef position =
      PyRef::steal(flushed ? PyObject_CallMethod(reader.get(), "tell", nullptr) : nullptr);
  if (!position) return std::nullopt;
  long long offset = PyLong_AsLongLong(position.get());
  int fd = offset < 0 ? -1 : PyObject_AsFileDescriptor(reader.get());
  struct stat status {};
  if (fd < 0 || ::fstat(fd, &status) < 0 || !S_ISREG(status.st_mode)) return std::nullopt;
  if ((::fcntl(fd, F_GETFL) & O_ACCMODE) == O_WRONLY) return std::nullopt;
  if (status.st_size <= offset) return std::nullopt;  // files of /proc have no size, but content
  UniqueFd own(::fcntl(fd, F_DUPFD_CLOEXEC, 3));
  if (!own) return std::nullopt;
  return engine::FilePiece{std::move(own), static_cast<std::uint64_t>(offset),
                           static_cast<std::uint64_t>(status.st_size - offset)};
}

}  // namespace

PyObject* file_wrapper_type() {
  static PyObject* type = PyType_FromSpec(&spec);
  return type;
}

bool is_file_wrapper(PyObject* object) {
  return reinterpret_cast<PyObject*>(Py_TYPE(object)) == file_wrapper_type();
}

std::optional<engine::FilePiece> file_behind(PyObject* wrapper) {
  PyObject* file = wrapper_of(wrapper).file;
  PyRef reader = file == nullptr ? PyRef() : reader_behind(file);
  std::optional<engine::FilePiece> piece;
  if (reader && is_plain_file(reader)) piece = piece_of(reader);
  PyErr_Clear();
  return piece;
}

}  // namespace appd::gateway
