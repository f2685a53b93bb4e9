// What may come next on a command line: from CLI11's tree, and from appd what has a name there. The
// scripts for the shells only ask (`appctl __complete WORD…`) and show.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace appd::ctl {

struct Candidate {
  std::string word;
  std::string about;  // may be empty

  bool operator==(const Candidate&) const = default;
};

struct Completion {
  enum class Files { None, Files, Directories };
  std::vector<Candidate> candidates;
  Files files = Files::None;  // the shell knows its own files best
};

// What only appd knows.
enum class NameKind { App, Worker, Operation, Revision, Request, Variable, Context };
// `app` is the one that the line names, or empty.
using NameSource = std::function<std::vector<Candidate>(NameKind kind, const std::string& app)>;

// `words` are those behind "appctl"; the last one is being typed and may be empty.
Completion complete(const CLI::App& tree, std::span<const std::string> words,
                    const NameSource& names);

// A line for each candidate, "word<TAB>about", then ":files" or ":directories".
std::string completion_lines(const Completion& completion);

// The script for "bash", "zsh" or "fish"; nothing for another shell.
std::optional<std::string> completion_script(std::string_view shell);

}  // namespace appd::ctl
