// Global options, verbs, and what is said below them.
#include "ctl/tree.h"

#include <array>

#include "ctl/surroundings.h"

namespace appd::ctl {
namespace {

constexpr auto kExitMeanings = std::to_array<ExitMeaning>(
    {{0, "done"},
     {1, "failed, not found, or not done within --wait-timeout"},
     {2, "wrong arguments, or values that appd refuses"},
     {3, "rolled back, or cancelled: what served before serves on"},
     {4, "appd cannot be reached, or does not answer"},
     {5, "conflict: stale --etag, name taken, or superseded by a later change"},
     {130, "interrupted while waiting; the change goes on"}});

constexpr auto kExamples = std::to_array<const char*>(
    {"appctl create myapp --directory /srv/myapp --app wsgi:app --bind 127.0.0.1:8000 --workers 4",
     "appctl scale myapp --workers 17", "appctl set myapp --threads 8 --timeout 45s",
     "appctl reload myapp", "appctl status"});

std::string footer() {
  std::string text = "Examples:\n";
  for (const char* example : kExamples) text += std::string("  ") + example + "\n";
  text +=
      "\nA verb that changes something waits for its end; --no-wait returns at once.\n"
      "\nExit codes:";
  for (const ExitMeaning& each : kExitMeanings) {
    text += "\n  " + std::to_string(each.code) + "  " + each.meaning;
  }
  return text;
}

void add_globals(CLI::App& app, const std::string& default_address, Globals& globals) {
  CLI::Option* address = app.add_option_function<std::string>(
                                "--address",
                                [&globals](const std::string& text) {
                                  const Result<std::string> parsed = parse_address(text);
                                  if (!parsed)
                                    throw CLI::ValidationError("--address", parsed.error().message);
                                  globals.target.address = *parsed;
                                },
                                "where appd listens: unix:PATH or HOST:PORT")
                             ->type_name("ADDRESS (" + default_address + ")");
  app.add_option("--context", globals.context, "the appd of this name, see context")
      ->type_name("CONTEXT")
      ->excludes(address);
  add_credentials(app, globals.target);
  app.add_option("-o,--output", globals.format, "text, or json with the API's field names")
      ->type_name("text|json")
      ->check(CLI::IsMember({"text", "json"}).description(""));
  app.set_version_flag("--version", "appctl " APPD_VERSION, "print appctl's own version");
}

}  // namespace

void add_credentials(CLI::App& app, Target& target) {
  app.add_option("--ca", target.ca,
                 "who has signed appd's certificate, for HOST:PORT (default: whom the system "
                 "trusts)")
      ->type_name("FILE");
  app.add_option("--cert", target.cert, "the caller's certificate, for HOST:PORT")
      ->type_name("FILE");
  app.add_option("--key", target.key, "its private key")->type_name("FILE");
  app.add_option("--token-file", target.token_file,
                 "where the caller's token is, or it is in APPD_TOKEN")
      ->type_name("FILE");
}

std::span<const ExitMeaning> exit_meanings() { return kExitMeanings; }
std::span<const char* const> examples() { return kExamples; }

void build_tree(CLI::App& app, const std::string& default_address, Globals& globals, Action& action,
                const std::function<bool(const Verb&)>& wanted) {
  app.description("Controls appd, which runs Python web applications.");
  app.fallthrough();
  app.require_subcommand(1);
  app.footer(footer());
  app.set_help_flag("-h,--help", "print this help");
  add_globals(app, default_address, globals);
  for (const Verb& verb : verbs()) {
    CLI::App* command = app.add_subcommand(verb.name, verb.summary)->group(verb.group);
    command->footer(
        std::string("Example:\n  ") + verb.example +
        "\n\nEverywhere: --address ADDRESS, --context CONTEXT, -o text|json. Exit codes: "
        "appctl --help");
    if (wanted(verb)) verb.add(*command, action);
  }
}

const CLI::App* find_verb(const CLI::App& app, const std::string& name) {
  for (const CLI::App* each : app.get_subcommands([](const CLI::App*) { return true; })) {
    if (each->get_name() == name) return each;
  }
  return nullptr;
}

}  // namespace appd::ctl
