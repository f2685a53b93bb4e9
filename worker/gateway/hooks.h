// Hooks: the few things that are easier said in Python, as functions of appd_zygote.py.
#pragma once

#include <string>
#include <vector>

#include "worker/gateway/python.h"

namespace appd::gateway {

struct LoadedApp {
  PyRef app;  // empty: failed, and the rest says why
  bool not_found = false;
  std::string summary;
  std::string traceback;
};

// Borrows the module's namespace for the life of the process. Under the interpreter's lock.
class Hooks {
 public:
  explicit Hooks(PyObject* module) : module_(PyRef::borrow(module)) {}

  LoadedApp load(const std::string& directory, const std::string& app_uri) const;
  // Requests each path once. Failures are logged and otherwise ignored.
  void warm_up(PyObject* app, const std::vector<std::string>& paths) const;
  // Why the process must not be forked now; empty: nothing is known against it.
  std::string fork_hazard(const std::vector<int>& own_descriptors) const;
  // Garbage is collected, what is left is taken out of later collections: pages stay shared.
  void freeze() const;
  // Starts the interpreter anew in this process. Returns only if that failed.
  void exec_again(int resume_fd) const;

 private:
  PyRef call(const char* name, const char* format, ...) const;
  PyRef module_;
};

// A str as bytes; what is not encodable is escaped. Never fails.
std::string to_text(PyObject* object);

}  // namespace appd::gateway
