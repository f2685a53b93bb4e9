// The parser, and one line and a hint for wrong arguments.
#include "ctl/cli.h"

#include <CLI/CLI.hpp>
#include <algorithm>

#include "ctl/contexts.h"
#include "ctl/help.h"
#include "ctl/tree.h"

namespace appd::ctl {
namespace {

// What the scripts for shells call; not for people.
constexpr const char* kCompleteVerb = "__complete";

// CLI11 ends each group of options with two blank lines.
std::string tidy(std::string help) {
  for (std::size_t at = help.find("\n\n\n"); at != std::string::npos; at = help.find("\n\n\n")) {
    help.erase(at, 1);
  }
  return help;
}

// The word that was meant as a verb, if CLI11 did not know it.
std::string unknown_verb(const CLI::App& app, const std::vector<std::string>& arguments) {
  if (!app.get_subcommands().empty()) return "";
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& word = arguments[i];
    const bool takes_value = word == "--address" || word == "--context" || word == "-o" ||
                             word == "--output" || word == "--ca" || word == "--cert" ||
                             word == "--key" || word == "--token-file";
    if (takes_value) {
      ++i;
    } else if (!word.empty() && word.front() != '-') {
      return word;
    }
  }
  return "";
}

std::string did_you_mean(const std::string& word, std::vector<std::string_view> candidates) {
  const std::string_view near = closest(word, candidates);
  return near.empty() ? "" : "; did you mean '" + std::string(near) + "'?";
}

// "--grep: 1 required TEXT missing" → "--grep needs TEXT"
std::string without_value(const std::string& text) {
  constexpr std::string_view kBefore = ": 1 required ";
  constexpr std::string_view kBehind = " missing";
  const std::size_t at = text.find(kBefore);
  if (at == std::string::npos || !text.ends_with(kBehind)) return text;
  const std::size_t value = at + kBefore.size();
  return text.substr(0, at) + " needs " + text.substr(value, text.size() - kBehind.size() - value);
}

// CLI11's message as one line, with a suggestion where a verb or flag is a near miss.
std::string explain(const CLI::App& app, const CLI::ParseError& error,
                    const std::vector<std::string>& arguments) {
  if (const std::string word = unknown_verb(app, arguments); !word.empty()) {
    std::vector<std::string_view> names;
    for (const Verb& verb : verbs()) names.emplace_back(verb.name);
    return "no such verb: '" + word + "'" + did_you_mean(word, names);
  }
  if (app.get_subcommands().empty() && dynamic_cast<const CLI::RequiredError*>(&error) != nullptr) {
    return "what is to be done? A verb is missing";
  }
  if (!app.get_subcommands().empty()) {
    // "context" alone: its parts are its verbs.
    const CLI::App* verb = app.get_subcommands().front();
    std::string parts;
    for (const CLI::App* part : verb->get_subcommands([](const CLI::App*) { return true; })) {
      parts += (parts.empty() ? "" : ", ") + part->get_name();
    }
    if (!parts.empty() && verb->get_subcommands().empty()) return "say what of it: " + parts;
  }
  std::string text = error.what();
  std::replace(text.begin(), text.end(), '\n', ' ');
  if (dynamic_cast<const CLI::ArgumentMismatch*>(&error) != nullptr) return without_value(text);
  if (dynamic_cast<const CLI::ExtrasError*>(&error) == nullptr) return text;
  const CLI::App* command = app.get_subcommands().empty() ? &app : app.get_subcommands().front();
  std::vector<std::string> flags;
  for (const CLI::App* each : {command, &app}) {
    for (const CLI::Option* option : each->get_options()) {
      for (const std::string& name : option->get_lnames()) flags.push_back("--" + name);
    }
  }
  const std::vector<std::string_view> candidates(flags.begin(), flags.end());
  for (const std::string& word : app.remaining(true)) {
    const std::string flag = word.substr(0, word.find('='));
    if (flag.rfind("--", 0) == 0)
      return "no such flag: '" + flag + "'" + did_you_mean(flag, candidates);
    return "'" + word + "' was not expected here";
  }
  return text;
}

ExitCode usage(const CLI::App& app, const CLI::ParseError& error,
               const std::vector<std::string>& arguments, const Io& io) {
  const auto chosen = app.get_subcommands();
  const std::string help =
      "appctl " + (chosen.empty() ? "" : chosen.front()->get_name() + " ") + "--help";
  std::fprintf(io.err, "appctl: %s\n  See: %s\n",
               escape_line(explain(app, error, arguments)).c_str(), help.c_str());
  return ExitCode::Usage;
}

// Of the verb that was given, if one was, or of the part of a verb.
std::string help_of(const CLI::App& app) {
  std::string before = "appctl";
  const CLI::App* deepest = &app;
  while (!deepest->get_subcommands().empty()) {
    if (deepest != &app) before += " " + deepest->get_name();
    deepest = deepest->get_subcommands().front();
  }
  return deepest == &app ? deepest->help() : deepest->help(before);
}

// What was printed must have arrived: `appctl list > /dev/full` is a failure.
ExitCode flushed(ExitCode code, const Io& io) {
  const bool written = std::fflush(io.out) == 0 && std::ferror(io.out) == 0;
  std::fflush(io.err);
  if (written || code != ExitCode::Done) return code;
  std::fprintf(io.err, "appctl: cannot write the output\n");
  std::fflush(io.err);
  return ExitCode::Failed;
}

}  // namespace

ExitCode run(std::vector<std::string> arguments, const Io& io) {
  if (!arguments.empty() && arguments.front() == kCompleteVerb) {
    return flushed(complete_words(std::span(arguments).subspan(1), io), io);
  }
  if (!arguments.empty() && arguments.front() == "help") {
    arguments.erase(arguments.begin());
    arguments.emplace_back("--help");
  }
  Globals globals;
  Action action;
  CLI::App app("", "appctl");
  app.formatter(std::make_shared<HelpFormatter>(io.out_style.width));
  // A millisecond of every start goes into flags that nobody asked about.
  build_tree(app, default_address(io.user, io.environment), globals, action,
             [&arguments](const Verb& verb) {
               return std::find(arguments.begin(), arguments.end(), verb.name) != arguments.end();
             });
  const Verb* verb = nullptr;
  Target target;
  Credentials credentials;
  try {
    std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());
    app.parse(reversed);
    const std::string chosen = app.get_subcommands().front()->get_name();
    verb = &*std::find_if(verbs().begin(), verbs().end(),
                          [&](const Verb& each) { return each.name == chosen; });
    if (!verb->local) {
      const Result<Target> found =
          choose_target(globals.target, globals.context, io.user, io.environment);
      if (!found) throw CLI::ValidationError(found.error().message);
      target = *found;
      const Result<Credentials> read = read_credentials(target);
      if (!read) throw CLI::ValidationError(read.error().message);
      credentials = *read;
    }
  } catch (const CLI::CallForHelp&) {
    std::fputs(tidy(help_of(app)).c_str(), io.out);
    return flushed(ExitCode::Done, io);
  } catch (const CLI::CallForVersion& version) {
    std::fprintf(io.out, "%s\n", version.what());
    return flushed(ExitCode::Done, io);
  } catch (const CLI::ParseError& error) {
    return flushed(usage(app, error, arguments, io), io);
  }
  const Format format = globals.format == "json" ? Format::Json : Format::Text;
  Session session(io, target.address, format, std::move(credentials));
  if (verb->changes) session.guard_change();
  return flushed(action(session), io);
}

}  // namespace appd::ctl
