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

LoadedApp Hooks::load(const message::Load& load) const {
  LoadedApp loaded;
  loaded.summary = prepare_class(load);
  if (!loaded.summary.empty()) return loaded;
  PyRef result = call("load", "(ss)", load.directory.c_str(), load.app_uri.c_str());
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
  if (app == Py_None) return loaded;
  auto worker_class = class_of(app, load.worker_class);
  if (worker_class) {
    loaded.app = PyRef::borrow(app);
    loaded.worker_class = std::move(worker_class).value();
  } else {
    loaded.summary = worker_class.error().message;
  }
  return loaded;
}

std::string Hooks::prepare_class(const message::Load& load) const {
  PyRef problem = call("prepare_class", "(ss)", load.worker_class.c_str(), load.loop.c_str());
  return problem ? to_text(problem.get())
                 : "the worker class cannot be prepared; see the app's log";
}

Result<std::string> Hooks::class_of(PyObject* app, const std::string& worker_class) const {
  PyRef answer = call("class_of", "(Os)", app, worker_class.c_str());
  const char* found = nullptr;
  const char* problem = "the app's class cannot be told; see the app's log";
  if (answer && PyArg_ParseTuple(answer.get(), "ss", &found, &problem) == 0) PyErr_Clear();
  if (found == nullptr || *problem != '\0') {
    return Error{ErrorCode::FailedPrecondition, "WORKER_CLASS_UNFIT", problem};
  }
  return std::string(found);
}

std::string Hooks::warm_up(PyObject* app, const message::Load& load) const {
  PyRef list = list_of(load.warmup_paths);
  if (!list) return {};
  return to_text(
      call("warm_up", "(OsOs)", app, load.worker_class.c_str(), list.get(), load.root_path.c_str())
          .get());
}

std::string Hooks::fork_hazard(const std::vector<int>& own_descriptors, const char* culprit) const {
  PyRef list = PyRef::steal(PyList_New(0));
  for (int fd : own_descriptors) {
    PyRef number = PyRef::steal(PyLong_FromLong(fd));
    if (!list || !number || PyList_Append(list.get(), number.get()) < 0) return {};
  }
  return to_text(call("fork_hazard", "(Os)", list.get(), culprit).get());
}

void Hooks::freeze() const { call("freeze", "()"); }

void Hooks::offer_stacks(int fd, int signal) const { call("offer_stacks", "(ii)", fd, signal); }

void Hooks::write_tasks(int fd) const { call("write_tasks", "(i)", fd); }

void Hooks::exec_again(int resume_fd) const { call("exec_again", "(i)", resume_fd); }

}  // namespace appd::gateway
