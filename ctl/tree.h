// The whole command line as CLI11's tree: what --help, the manual pages and the completions of
// shells are all made from.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <span>
#include <string>

#include "ctl/credentials.h"
#include "ctl/verbs.h"

namespace appd::ctl {

// Options that may stand before or after the verb.
struct Globals {
  Target target;
  std::string context;
  std::string format = "text";
};

struct ExitMeaning {
  int code;
  const char* meaning;
};
std::span<const ExitMeaning> exit_meanings();
std::span<const char* const> examples();

// --ca, --cert, --key, --token-file.
void add_credentials(CLI::App& app, Target& target);

// `default_address` is for the help. Verbs that are not `wanted` have a name and no arguments: each
// costs time. What a parse finds goes to `globals` and `action`, which must outlive the tree.
void build_tree(CLI::App& app, const std::string& default_address, Globals& globals, Action& action,
                const std::function<bool(const Verb&)>& wanted);

// The verb of that name in such a tree, or of a verb like context the next word; null: none.
const CLI::App* find_verb(const CLI::App& app, const std::string& name);

}  // namespace appd::ctl
