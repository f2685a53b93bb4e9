// An app's interpreter, asked about itself: it is started with a few lines that import nothing of
// the app's, as the user that appd runs as.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/result.h"

namespace appd::ctl {

struct Interpreter {
  std::string version;               // "3.11.2"
  std::string implementation;        // "cpython"
  bool free_threaded = false;        // built without the GIL
  std::vector<std::string> missing;  // of the modules that were asked for
};

// `user`: 0 to stay who we are. An Error says why it does not run, in the interpreter's own words.
Result<Interpreter> ask_interpreter(const std::string& python, unsigned user,
                                    std::span<const std::string> modules);
// The same, of what such a run has printed.
Result<Interpreter> parse_interpreter(const std::string& output);

}  // namespace appd::ctl
