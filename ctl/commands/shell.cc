// completion and man: what appctl says about itself, for shells and for man(1).
#include <algorithm>
#include <cstdio>
#include <memory>

#include "ctl/cli.h"
#include "ctl/commands/options.h"
#include "ctl/completion.h"
#include "ctl/contexts.h"
#include "ctl/manual.h"
#include "ctl/render.h"
#include "ctl/tree.h"

namespace appd::ctl {
namespace {

ExitCode completion(Session& session, const std::string& shell) {
  session.print(*completion_script(shell));
  return ExitCode::Done;
}

ExitCode man(Session& session, const std::string& name) {
  CLI::App tree("", "appctl");
  Globals globals;
  Action none;
  build_tree(tree, "", globals, none, [&name](const Verb& verb) { return verb.name == name; });
  if (name.empty()) {
    session.print(manual(tree));
    return ExitCode::Done;
  }
  for (const Verb& verb : verbs()) {
    if (verb.name != name) continue;
    session.print(manual_of_verb(tree, *find_verb(tree, name), verb.example));
    return ExitCode::Done;
  }
  return session.fail(usage_error("there is no verb " + name + "; appctl --help lists them"),
                      {"show a page", "", "", {}});
}

// A person waits with a finger on the key: what does not come soon is left out.
class AppdNames {
 public:
  AppdNames(const Io& io, std::string address, Credentials credentials) : io_(io) {
    ClientOptions options;
    options.address = std::move(address);
    options.credentials = std::move(credentials);
    options.call_timeout = std::chrono::seconds(1);
    options.retry_for = std::chrono::milliseconds(0);
    client_ = std::make_unique<Client>(std::move(options));
  }

  std::vector<Candidate> of(NameKind kind, const std::string& app) {
    switch (kind) {
      case NameKind::App:
        return apps();
      case NameKind::Worker:
        return workers(app);
      case NameKind::Operation:
        return operations();
      case NameKind::Revision:
        return revisions(app);
      case NameKind::Variable:
        return variables(app);
      case NameKind::Context:
        return contexts();
    }
    return {};
  }

 private:
  std::vector<Candidate> apps() {
    std::vector<Candidate> out;
    Outcome<v1::ListAppsResponse> found = client_->list_apps();
    if (!found) return out;
    for (const v1::App& app : found->apps()) {
      out.push_back({std::string(short_name(app.name())),
                     words(v1::AppObserved::State_Name(app.observed().state()))});
    }
    return out;
  }
  std::vector<Candidate> workers(const std::string& app) {
    std::vector<Candidate> out;
    Outcome<v1::ListWorkersResponse> found = client_->list_workers("apps/" + app);
    if (!found) return out;
    for (const v1::Worker& worker : found->workers()) {
      out.push_back({std::to_string(worker.id()), "pid " + std::to_string(worker.pid())});
    }
    return out;
  }
  std::vector<Candidate> operations() {
    std::vector<Candidate> out;
    Outcome<v1::ListOperationsResponse> found = client_->list_operations("");
    if (!found) return out;
    for (const v1::Operation& each : found->operations()) {
      out.push_back({each.name(), std::string(short_name(each.app())) + " " +
                                      words(v1::Operation::Kind_Name(each.kind()))});
    }
    return out;
  }
  std::vector<Candidate> revisions(const std::string& app) {
    std::vector<Candidate> out;
    Outcome<v1::ListRevisionsResponse> found = client_->list_revisions("apps/" + app);
    if (!found) return out;
    for (int i = 0; i < found->revisions_size(); ++i) {
      const v1::Revision* before =
          i + 1 < found->revisions_size() ? &found->revisions(i + 1) : nullptr;
      out.push_back({std::to_string(found->revisions(i).number()),
                     escape_line(change_text(found->revisions(i), before))});
    }
    return out;
  }
  std::vector<Candidate> variables(const std::string& app) {
    std::vector<Candidate> out;
    v1::GetAppRequest request;
    request.set_name("apps/" + app);
    Outcome<v1::App> found = client_->get_app(request);
    if (!found) return out;
    for (const auto& variable : found->spec().env()) out.push_back({variable.first, ""});
    return out;
  }
  std::vector<Candidate> contexts() {
    std::vector<Candidate> out;
    const Result<Contexts> found = read_contexts(contexts_path(io_.environment));
    if (!found) return out;
    for (const auto& [name, target] : found->targets) out.push_back({name, target.address});
    return out;
  }

  const Io& io_;
  std::unique_ptr<Client> client_;
};

// The value of a flag in the words of a line that is not complete yet.
std::string value_of(std::span<const std::string> words, const std::string& flag) {
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (words[i] == flag && i + 1 < words.size()) return words[i + 1];
    if (words[i].starts_with(flag + "=")) return words[i].substr(flag.size() + 1);
  }
  return "";
}

}  // namespace

ExitCode complete_words(std::span<const std::string> words, const Io& io) {
  CLI::App tree("", "appctl");
  Globals globals;
  Action none;
  build_tree(tree, "", globals, none, [&words](const Verb& verb) {
    return std::find(words.begin(), words.end(), verb.name) != words.end();
  });
  Target given;
  if (auto address = parse_address(value_of(words, "--address"))) given.address = *address;
  given.ca = value_of(words, "--ca");
  given.cert = value_of(words, "--cert");
  given.key = value_of(words, "--key");
  given.token_file = value_of(words, "--token-file");
  const Result<Target> target =
      choose_target(given, value_of(words, "--context"), io.user, io.environment);
  std::unique_ptr<AppdNames> names;
  const auto source = [&](NameKind kind, const std::string& app) -> std::vector<Candidate> {
    if (!names) {
      const Result<Credentials> read = target ? read_credentials(*target) : Credentials();
      names = std::make_unique<AppdNames>(io, target && read ? target->address : "unix:/",
                                          read ? *read : Credentials());
    }
    return names->of(kind, app);
  };
  std::fputs(completion_lines(complete(tree, words, source)).c_str(), io.out);
  return ExitCode::Done;
}

void add_completion(CLI::App& command, Action& action) {
  auto shell = std::make_shared<std::string>();
  command.add_option("SHELL", *shell, "bash, zsh or fish")
      ->type_name("bash|zsh|fish")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}).description(""));
  command.callback([shell, &action] {
    action = [shell](Session& session) { return completion(session, *shell); };
  });
}

void add_man(CLI::App& command, Action& action) {
  auto name = std::make_shared<std::string>();
  command.add_option("VERB", *name, "the page of this verb (default: appctl's)")->type_name("");
  command.callback(
      [name, &action] { action = [name](Session& session) { return man(session, *name); }; });
}

}  // namespace appd::ctl
