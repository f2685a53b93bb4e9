// Hooks: the few things that are easier said in Python, as functions of appd_zygote.py.
#pragma once

#include <string>
#include <vector>

#include "common/messages.h"
#include "common/result.h"
#include "worker/gateway/python.h"

namespace appd::gateway {

struct LoadedApp {
  PyRef app;                 // empty: failed, and the rest says why
  std::string worker_class;  // that serves it: "auto" is decided
  bool not_found = false;
  std::string summary;
  std::string traceback;
};

// Borrows the module's namespace for the life of the process. Under the interpreter's lock.
class Hooks {
 public:
  explicit Hooks(PyObject* module) : module_(PyRef::borrow(module)) {}

  // Prepares the worker class, imports the app, and finds out which class serves it.
  LoadedApp load(const message::Load& load) const;
  // Requests each of load.warmup_paths once; load.worker_class serves the app. Failures are logged
  // and otherwise ignored. What that left behind that a fork would break, or empty.
  std::string warm_up(PyObject* app, const message::Load& load) const;
  // Why the process must not be forked now; empty: nothing is known against it. The culprit is "the
  // import", say.
  std::string fork_hazard(const std::vector<int>& own_descriptors, const char* culprit) const;
  // Garbage is collected, what is left is taken out of later collections: pages stay shared.
  void freeze() const;
  // Has the stacks of all threads written there at each such signal; see zygote/stacks.h.
  void offer_stacks(int fd, int signal) const;
  // Writes those of asyncio's tasks and of greenlets there. In any thread.
  void write_tasks(int fd) const;
  // Starts the interpreter anew in this process. Returns only if that failed.
  void exec_again(int resume_fd) const;

 private:
  // Empty, or why the class cannot serve in this Python.
  std::string prepare_class(const message::Load& load) const;
  // The class that serves this app, in place of "auto"; or why the one asked for does not.
  Result<std::string> class_of(PyObject* app, const std::string& worker_class) const;
  PyRef call(const char* name, const char* format, ...) const;
  PyRef module_;
};

// A str as bytes; what is not encodable is escaped. Never fails.
std::string to_text(PyObject* object);

}  // namespace appd::gateway
