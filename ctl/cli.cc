// The parser: global options, the table of verbs, and one line and a hint for wrong arguments.
#include "ctl/cli.h"

#include <CLI/CLI.hpp>
#include <algorithm>

#include "ctl/verbs.h"

namespace appd::ctl {
namespace {

constexpr const char* kFooter = R"(Examples:
  appctl create myapp --directory /srv/myapp --app wsgi:app --bind 127.0.0.1:8000 --workers 4
  appctl scale myapp --workers 17
  appctl set myapp --threads 8 --timeout 45s
  appctl reload myapp
  appctl status

A verb that changes something waits for its end; --no-wait returns at once.

Exit codes:
  0  done
  1  failed, not found, or not done within --wait-timeout
  2  wrong arguments, or values that appd refuses
  3  rolled back: what served before serves on
  4  appd cannot be reached, or does not answer
  5  conflict: stale --etag, name taken, or superseded by a later change
  130  interrupted while waiting; the change goes on)";

struct Globals {
  std::string address;
  std::string format = "text";
};

void add_globals(CLI::App& app, Globals& globals) {
  app.add_option_function<std::string>(
         "--address",
         [&globals](const std::string& text) {
           const Result<std::string> address = parse_address(text);
           if (!address) throw CLI::ValidationError("--address", address.error().message);
           globals.address = *address;
         },
         "where appd listens: unix:PATH")
      ->type_name("ADDRESS (" + globals.address + ")");
  app.add_option("-o,--output", globals.format, "text, or json with the API's field names")
      ->type_name("text|json")
      ->check(CLI::IsMember({"text", "json"}).description(""));
  app.set_version_flag("--version", "appctl " APPD_VERSION, "print appctl's own version");
}

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
    if (word == "--address" || word == "-o" || word == "--output") {
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

// CLI11's message as one line, with a suggestion where a verb or flag is a near miss.
std::string explain(const CLI::App& app, const CLI::ParseError& error,
                    const std::vector<std::string>& arguments) {
  if (const std::string word = unknown_verb(app, arguments); !word.empty()) {
    std::vector<std::string_view> names;
    for (const Verb& verb : verbs()) names.emplace_back(verb.name);
    return "no such verb: '" + word + "'" + did_you_mean(word, names);
  }
  if (app.get_subcommands().empty() && arguments.empty()) return "what is to be done?";
  std::string text = error.what();
  std::replace(text.begin(), text.end(), '\n', ' ');
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
  Globals globals;
  globals.address = default_address(io.user, io.environment);
  Action action;

  CLI::App app("Controls appd, which runs Python web applications.", "appctl");
  app.fallthrough();
  app.require_subcommand(1);
  app.footer(kFooter);
  app.get_formatter()->column_width(34);
  app.get_formatter()->label("REQUIRED", "(required)");
  app.get_formatter()->label("SUBCOMMAND", "VERB");
  add_globals(app, globals);
  for (const Verb& verb : verbs()) {
    CLI::App* command = app.add_subcommand(verb.name, verb.summary)->group(verb.group);
    command->footer(std::string("Example:\n  ") + verb.example +
                    "\n\nEverywhere: --address ADDRESS, -o text|json. Exit codes: appctl --help");
    // A millisecond of every start goes into flags that nobody asked about.
    if (std::find(arguments.begin(), arguments.end(), verb.name) == arguments.end()) continue;
    verb.add(*command, action);
  }

  try {
    if (const auto address = io.environment("APPD_ADDRESS"); address && !address->empty()) {
      const Result<std::string> parsed = parse_address(*address);
      if (!parsed) throw CLI::ValidationError("APPD_ADDRESS", parsed.error().message);
      globals.address = *parsed;
    }
    std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());
    app.parse(reversed);
  } catch (const CLI::CallForHelp&) {
    const auto chosen = app.get_subcommands();
    std::fputs(tidy(chosen.empty() ? app.help() : chosen.front()->help("appctl")).c_str(), io.out);
    return flushed(ExitCode::Done, io);
  } catch (const CLI::CallForVersion& version) {
    std::fprintf(io.out, "%s\n", version.what());
    return flushed(ExitCode::Done, io);
  } catch (const CLI::ParseError& error) {
    return flushed(usage(app, error, arguments, io), io);
  }
  const Format format = globals.format == "json" ? Format::Json : Format::Text;
  Session session(io, globals.address, format);
  const std::string chosen = app.get_subcommands().front()->get_name();
  const auto verb = std::find_if(verbs().begin(), verbs().end(),
                                 [&](const Verb& each) { return each.name == chosen; });
  if (verb->changes) session.guard_change();
  return flushed(action(session), io);
}

}  // namespace appd::ctl
