// context: the names of several appds, and which of them is meant.
#include <memory>
#include <nlohmann/json.hpp>

#include "ctl/commands/options.h"
#include "ctl/contexts.h"
#include "ctl/json.h"
#include "ctl/tree.h"
#include "ctl/verbs.h"

namespace appd::ctl {
namespace {

struct Options {
  std::string name;
  Target target;
};

ExitCode fail(Session& session, const std::string& message) {
  return session.fail(usage_error(message), {"change the contexts", "", "", {}});
}

// Reads, edits and writes; `edit` answers what to say, or an Error.
ExitCode edit(Session& session, const std::function<Result<std::string>(Contexts&)>& change) {
  const std::string path = contexts_path(session.io().environment);
  Result<Contexts> contexts = read_contexts(path);
  if (!contexts) return fail(session, contexts.error().message);
  const Result<std::string> told = change(*contexts);
  if (!told) return fail(session, told.error().message);
  const Result<void> written = write_contexts(path, *contexts);
  if (!written) return fail(session, written.error().message);
  session.print(*told + "\n");
  return ExitCode::Done;
}

Error unknown(const std::string& name) {
  return {ErrorCode::NotFound, "",
          "there is no context '" + name + "'; appctl context list shows them", 0};
}

ExitCode add(Session& session, const Options& options) {
  return edit(session, [&](Contexts& contexts) -> Result<std::string> {
    if (!valid_context_name(options.name)) {
      return Error{ErrorCode::InvalidArgument, "",
                   "'" + options.name +
                       "' is no name of a context: letters, digits, '-', '_' and '.', at most 63",
                   0};
    }
    Target target = options.target;
    target.address = TRY(parse_address(target.address));
    // From wherever appctl is called then.
    for (std::string* path : {&target.ca, &target.cert, &target.key, &target.token_file}) {
      if (!path->empty()) *path = absolute_path(*path, session.io().directory);
    }
    TRY(read_credentials(target));
    contexts.targets[options.name] = target;
    if (contexts.current.empty()) contexts.current = options.name;
    return options.name + ": " + target.address +
           (contexts.current == options.name ? " (used from now on)" : "");
  });
}

ExitCode use(Session& session, const Options& options) {
  return edit(session, [&](Contexts& contexts) -> Result<std::string> {
    if (!contexts.targets.contains(options.name)) return unknown(options.name);
    contexts.current = options.name;
    return options.name + " is used from now on: " + contexts.targets[options.name].address;
  });
}

ExitCode remove(Session& session, const Options& options) {
  return edit(session, [&](Contexts& contexts) -> Result<std::string> {
    if (contexts.targets.erase(options.name) == 0) return unknown(options.name);
    if (contexts.current != options.name) return options.name + ": removed";
    contexts.current.clear();
    return options.name + ": removed; appd's default address is used from now on";
  });
}

ExitCode list(Session& session, const Options&) {
  const Result<Contexts> contexts = read_contexts(contexts_path(session.io().environment));
  if (!contexts) return fail(session, contexts.error().message);
  if (session.json()) {
    nlohmann::ordered_json out;
    out["current"] = contexts->current;
    out["contexts"] = nlohmann::ordered_json::object();
    for (const auto& [name, target] : contexts->targets) {
      nlohmann::ordered_json one{{"address", target.address}};
      if (!target.ca.empty()) one["ca"] = target.ca;
      if (!target.cert.empty()) one["cert"] = target.cert;
      if (!target.key.empty()) one["key"] = target.key;
      if (!target.token_file.empty()) one["token_file"] = target.token_file;
      out["contexts"][name] = std::move(one);
    }
    return session.print_json(Result<std::string>(out.dump(2)));
  }
  if (contexts->targets.empty()) {
    session.print("no contexts; appctl context add NAME ADDRESS\n");
    return ExitCode::Done;
  }
  Table table({{""}, {"NAME"}, {"AS"}, {"ADDRESS", Column::Align::Left, true}});
  for (const auto& [name, target] : contexts->targets) {
    const char* as = !target.token_file.empty() ? "token" : !target.cert.empty() ? "cert" : "-";
    table.add({{name == contexts->current ? "*" : " "}, {name}, {as}, {target.address}});
  }
  session.print(table.render(session.io().out_style));
  return ExitCode::Done;
}

void add_context_name(CLI::App& part, Options& options) {
  part.add_option("CONTEXT", options.name, "its name")->type_name("")->required();
}

}  // namespace

void add_context(CLI::App& command, Action& action) {
  auto options = std::make_shared<Options>();
  command.require_subcommand(1);
  CLI::App* adding =
      add_part(command, action, options, "add", "name an appd; the first one is used at once", add);
  add_context_name(*adding, *options);
  adding->add_option("ADDRESS", options->target.address, "where it listens: unix:PATH or HOST:PORT")
      ->type_name("")
      ->required();
  add_credentials(*adding, options->target);
  add_context_name(*add_part(command, action, options, "use",
                             "the appd that is meant when nothing else is said", use),
                   *options);
  add_part(command, action, options, "list", "all of them, with a star at the one that is used",
           list);
  add_context_name(*add_part(command, action, options, "remove", "forget a name", remove),
                   *options);
}

}  // namespace appd::ctl
