// token: secrets by which callers from elsewhere prove who they are.
#include <google/protobuf/util/time_util.h>

#include <memory>

#include "ctl/commands/options.h"
#include "ctl/duration.h"
#include "ctl/render.h"
#include "ctl/verbs.h"

namespace appd::ctl {
namespace {

using google::protobuf::util::TimeUtil;
using std::chrono::system_clock;

struct Options {
  std::string name;
  std::string role;
  std::vector<std::string> apps;
  std::optional<std::chrono::milliseconds> expires;
  std::string reason;
  std::string request_id;
};

std::string id_of(const std::string& name) {
  return name.starts_with("tokens/") ? name.substr(7) : name;
}

std::string role_text(v1::Token::Role role) { return words(v1::Token::Role_Name(role)); }

std::string apps_text(const v1::Token& token) {
  std::string text;
  for (const std::string& app : token.apps()) {
    text += (text.empty() ? "" : ", ") + std::string(short_name(app));
  }
  return text.empty() ? "all" : text;
}

std::string expiry_text(const v1::Token& token, WallTime now) {
  if (!token.has_expire_time()) return "never";
  const auto end = system_clock::from_time_t(token.expire_time().seconds());
  if (end <= now) return "expired";
  return "in " + format_age(std::chrono::duration_cast<std::chrono::seconds>(end - now));
}

// The secret alone goes to standard output, so that `> FILE` keeps it and nothing else.
ExitCode create(Session& session, const Options& options) {
  v1::CreateTokenRequest request;
  request.set_token_id(id_of(options.name));
  v1::Token& token = *request.mutable_token();
  token.set_role(options.role == "admin"      ? v1::Token::ADMIN
                 : options.role == "deployer" ? v1::Token::DEPLOYER
                                              : v1::Token::VIEWER);
  for (const std::string& app : options.apps) {
    token.add_apps(app.starts_with("apps/") ? app : "apps/" + app);
  }
  if (options.expires) {
    *request.mutable_ttl() = TimeUtil::MillisecondsToDuration(options.expires->count());
  }
  request.set_reason(options.reason);
  request.set_request_id(options.request_id);
  Outcome<v1::CreateTokenResponse> made = session.client().create_token(request);
  if (!made) return session.fail(made.error(), {"create the token", "", "", {}});
  if (session.json()) return session.print_json(*made);
  const v1::Token& its = made->token();
  session.note("token " + escape_line(id_of(its.name())) + ": " + role_text(its.role()) + " of " +
               (its.apps().empty() ? "all apps" : escape_line(apps_text(its))) + ", expires " +
               expiry_text(its, system_clock::now()) + "; it is shown this once:");
  session.print(made->secret() + "\n");
  return ExitCode::Done;
}

ExitCode list(Session& session, const Options&) {
  Outcome<v1::ListTokensResponse> tokens = session.client().list_tokens();
  if (!tokens) return session.fail(tokens.error(), {"list the tokens", "", "", {}});
  if (session.json()) return session.print_json(*tokens);
  if (tokens->tokens().empty()) {
    session.print("no tokens; appctl token create NAME --role ROLE\n");
    return ExitCode::Done;
  }
  const WallTime now = system_clock::now();
  Table table(
      {{"NAME"}, {"ROLE"}, {"APPS"}, {"EXPIRES"}, {"AGE"}, {"MADE BY", Column::Align::Left, true}});
  for (const v1::Token& token : tokens->tokens()) {
    table.add({{std::string(id_of(token.name()))},
               {role_text(token.role())},
               {apps_text(token)},
               {expiry_text(token, now)},
               {age_text(token.has_create_time(), token.create_time(), now)},
               {token.creator()}});
  }
  session.print(table.render(session.io().out_style));
  return ExitCode::Done;
}

ExitCode revoke(Session& session, const Options& options) {
  v1::DeleteTokenRequest request;
  request.set_name("tokens/" + id_of(options.name));
  request.set_reason(options.reason);
  request.set_request_id(options.request_id);
  Outcome<v1::DeleteTokenResponse> done = session.client().delete_token(request);
  if (!done) return session.fail(done.error(), {"revoke the token", "", "", {}});
  if (session.json()) return session.print_json(*done);
  session.print(escape_line(id_of(options.name)) + ": revoked\n");
  return ExitCode::Done;
}

void add_change(CLI::App& part, Options& options) {
  part.add_option("TOKEN", options.name, "its name")->type_name("")->required();
  add_call_options(part, options.request_id, options.reason);
}

}  // namespace

void add_token(CLI::App& command, Action& action) {
  auto options = std::make_shared<Options>();
  command.require_subcommand(1);
  CLI::App* creating = add_part(command, action, options, "create",
                                "make one; its secret is shown once, on standard output", create);
  add_change(*creating, *options);
  creating->add_option("--role", options->role, "what it may do")
      ->type_name("viewer|deployer|admin")
      ->check(CLI::IsMember({"viewer", "deployer", "admin"}).description(""))
      ->required();
  creating->add_option("--app", options->apps, "for this app only; may be repeated")
      ->type_name("NAME");
  add_duration(*creating, "--expires", options->expires,
               "how long it is good for, such as 30d (default: until it is revoked)");
  add_part(command, action, options, "list", "all of them, without their secrets", list);
  add_change(*add_part(command, action, options, "revoke",
                       "end it, and every call that is under way with it", revoke),
             *options);
}

}  // namespace appd::ctl
