// Manual pages, in man(7)'s macros, from the same tree as --help.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace appd::ctl {

// appctl(1): all verbs, the options that they share, files, environment, exit status.
std::string manual(const CLI::App& tree);
// appctl-VERB(1).
std::string manual_of_verb(const CLI::App& tree, const CLI::App& verb, const std::string& example);

}  // namespace appd::ctl
