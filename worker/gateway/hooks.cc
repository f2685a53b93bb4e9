// Calls into appd_zygote.py. An exception there is printed: it is our own bug, not the app's.
#include "worker/gateway/hooks.h"

#include <cstdarg>

#include "common/messages.h"

namespace appd::gateway {
namespace {

PyRef list_of(const std::vector<std::string>& texts) {
  PyRef list = PyRef::steal(PyList_New(0));
  for (const std::string& text : texts) {
    PyRef item = PyRef::steal(PyUnicode_DecodeFSDefault(text.c_str()));
    if (!list || !item || PyList_Append(list.get(), item.get()) < 0) return {};
  }
  return list;
}

}  // namespace

std::string to_text(PyObject* object) {
  if (object == nullptr || !PyUnicode_Check(object)) return {};
  PyRef bytes = PyRef::steal(PyUnicode_AsEncodedString(object, "utf-8", "backslashreplace"));
  char* text = nullptr;
  Py_ssize_t size = 0;
  if (!bytes || PyBytes_AsStringAndSize(bytes.get(), &text, &size) < 0) {
    PyErr_Clear();
    return {};
  }
  return {text, static_cast<std::size_t>(size)};
}

PyRef Hooks::call(const char* name, const char* format, ...) const {
  va_list values;
  va_start(values, format);
  PyRef arguments = PyRef::steal(Py_VaBuildValue(format, values));
  va_end(values);
  PyRef function = PyRef::steal(PyObject_GetAttrString(module_.get(), name));
  PyRef result;
  if (arguments && function) {
    result = PyRef::steal(PyObject_CallObject(function.get(), arguments.get()));
  }
  if (!result) PyErr_Print();
  return result;
}

LoadedApp Hooks::load(const std::string& directory, const std::string& app_uri) const {
  LoadedApp loaded;
  PyRef result = call("load", "(ss)", directory.c_str(), app_uri.c_str());
  PyObject* app = nullptr;
  PyObject* summary = nullptr;
  PyObject* traceback = nullptr;
  int not_found = 0;
  if (!result || !PyArg_ParseTuple(result.get(), "OpOO", &app, &not_found, &summary, &traceback)) {
    PyErr_Clear();
    loaded.summary = "the loader itself failed; see the app's log";
    return loaded;
  }
  loaded.not_found = not_found != 0;
  loaded.summary = to_text(summary).substr(0, 1024);
  loaded.traceback = to_text(traceback).substr(0, message::kMaxTraceback);
  if (app != Py_None) loaded.app = PyRef::borrow(app);
  return loaded;
}

void Hooks::warm_up(PyObject* app, const std::vector<std::string>& paths) const {
  if (paths.empty()) return;
  PyRef list = list_of(paths);
  if (list) call("warm_up", "(OO)", app, list.get());
}

std::string Hooks::fork_hazard(const std::vector<int>& own_descriptors) const {
  PyRef list = PyRef::steal(PyList_New(0));
  for (int fd : own_descriptors) {
    PyRef number = PyRef::steal(PyLong_FromLong(fd));
    if (!list || !number || PyList_Append(list.get(), number.get()) < 0) return {};
  }
  return to_text(call("fork_hazard", "(O)", list.get()).get());
}

void Hooks::freeze() const { call("freeze", "()"); }

void Hooks::exec_again(int resume_fd) const { call("exec_again", "(i)", resume_fd); }

}  // namespace appd::gateway
