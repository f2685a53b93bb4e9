// The extension module: the two ways into the machinery from appd_zygote.py.
//
// Only PyInit_appd_worker is visible to the dynamic linker; everything else, libstdc++ included,
// is inside. Built against the limited API, so that one file serves every CPython from 3.11 on.
#include <fcntl.h>
#include <sys/socket.h>

#include "worker/zygote/rollout.h"
#include "worker/zygote/streams.h"
#include "worker/zygote/worker.h"
#include "worker/zygote/zygote.h"

namespace appd::zygote {
namespace {

// run_zygote(hooks, control_fd, resume_fd) -> exit status, in the zygote and in each worker
PyObject* zygote_entry(PyObject*, PyObject* arguments) {
  PyObject* hooks_module = nullptr;
  int control = -1;
  int resume = -1;
  if (!PyArg_ParseTuple(arguments, "Oii", &hooks_module, &control, &resume)) return nullptr;
  auto& hooks = *new gateway::Hooks(hooks_module);  // threads use it to the very end
  auto forked = run_zygote(hooks, UniqueFd(control), UniqueFd(resume));
  int status = forked ? run_worker(std::move(*forked), hooks) : 0;
  return PyLong_FromLong(status);
}

// run_single(hooks, listener_fd, directory, app_uri, threads, worker_class) -> exit status
PyObject* single_entry(PyObject*, PyObject* arguments) {
  PyObject* hooks_module = nullptr;
  int listener = -1;
  const char* directory = nullptr;
  const char* app_uri = nullptr;
  const char* worker_class = nullptr;
  int threads = 1;
  if (!PyArg_ParseTuple(arguments, "Oissis", &hooks_module, &listener, &directory, &app_uri,
                        &threads, &worker_class)) {
    return nullptr;
  }
  gateway::Hooks hooks(hooks_module);
  WorkerSetup setup;
  setup.listeners.emplace_back(listener);
  if (auto prepared = prepare_listener(setup.listeners[0].get()); !prepared) {
    PyErr_SetString(PyExc_OSError, prepared.error().message.c_str());
    return nullptr;
  }
  auto scoreboard = Scoreboard::create();
  if (!scoreboard) {
    PyErr_SetString(PyExc_OSError, scoreboard.error().message.c_str());
    return nullptr;
  }
  static Scoreboard mapped = std::move(scoreboard).value();
  setup.slot = &mapped.slot(0);
  setup.load.directory = directory;
  setup.load.app_uri = app_uri;
  setup.load.worker_class = worker_class;
  setup.load.settings.threads = static_cast<std::uint32_t>(threads < 1 ? 1 : threads);
  return PyLong_FromLong(run_worker(std::move(setup), hooks));
}

PyMethodDef functions[] = {
    {"run_zygote", zygote_entry, METH_VARARGS, "Serves appd on a control socket; forks workers."},
    {"write_stdout", write_stdout, METH_O, "Writes bytes to the app's log as standard output."},
    {"write_stderr", write_stderr, METH_O, "Writes bytes to the app's log as standard error."},
    {"run_single", single_entry, METH_VARARGS, "Serves one listening socket in this process."},
    {nullptr, nullptr, 0, nullptr},
};
PyModuleDef module = {PyModuleDef_HEAD_INIT,
                      "appd_worker",
                      "appd's worker",
                      -1,
                      functions,
                      nullptr,
                      nullptr,
                      nullptr,
                      nullptr};

}  // namespace
}  // namespace appd::zygote

PyMODINIT_FUNC PyInit_appd_worker() { return PyModule_Create(&appd::zygote::module); }
