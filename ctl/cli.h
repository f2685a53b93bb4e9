// The command line as a function, so that tests can run it.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "ctl/exit_code.h"
#include "ctl/session.h"

namespace appd::ctl {

// Parses, runs the verb, and flushes; `arguments` without the program's name.
ExitCode run(std::vector<std::string> arguments, const Io& io);

// What may come next behind these words, the last of which is being typed (commands/shell.cc).
ExitCode complete_words(std::span<const std::string> words, const Io& io);

}  // namespace appd::ctl
