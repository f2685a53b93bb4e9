// Tokens: made here, so that no other part of appd ever holds a secret.
#include <algorithm>

#include "supervisor/api/change_options.h"
#include "supervisor/api/pagination.h"
#include "supervisor/api/secret.h"
#include "supervisor/api/services.h"
#include "supervisor/model/app_spec.h"
#include "supervisor/model/text.h"

namespace appd::api {
namespace {

using Tokens = v1::Tokens::Service;
using std::chrono::system_clock;

constexpr std::string_view kTokens = "tokens/";
constexpr std::int64_t kLongestTtl = 3'155'760'000;  // 100 years, in seconds

std::string token_name(const std::string& id) { return std::string(kTokens) + id; }

v1::Token::Role role_of(model::Role role) {
  switch (role) {
    case model::Role::Viewer:
      return v1::Token::VIEWER;
    case model::Role::Deployer:
      return v1::Token::DEPLOYER;
    case model::Role::Admin:
      return v1::Token::ADMIN;
  }
  return v1::Token::ROLE_UNSPECIFIED;
}

void fill(const model::Token& token, v1::Token& out) {
  out.set_name(token_name(token.id));
  out.set_role(role_of(token.rights.role));
  for (const std::string& app : token.rights.apps) out.add_apps(app_name(app));
  to_proto(token.create_time, *out.mutable_create_time());
  if (token.expire_time) to_proto(*token.expire_time, *out.mutable_expire_time());
  out.set_creator(token.creator);
}

Answer<model::Rights> to_rights(const v1::Token& token) {
  model::Rights rights;
  switch (token.role()) {
    case v1::Token::VIEWER:
      break;
    case v1::Token::DEPLOYER:
      rights.role = model::Role::Deployer;
      break;
    case v1::Token::ADMIN:
      rights.role = model::Role::Admin;
      break;
    default:
      return request_invalid("token.role", "must be VIEWER, DEPLOYER or ADMIN");
  }
  for (const std::string& name : token.apps()) {
    const auto id = parse_app_name(name, "token.apps");
    if (!id) return id.rejection();
    if (rights.apps.empty() || !rights.covers(id.value())) rights.apps.push_back(id.value());
  }
  if (const std::string why = why_not(rights); !why.empty()) {
    return request_invalid("token.apps", why);
  }
  return rights;
}

Answer<std::optional<model::WallTime>> to_expire_time(const v1::CreateTokenRequest& request,
                                                      model::WallTime now) {
  const bool has_time = request.token().has_expire_time();
  if (request.has_ttl() && has_time) {
    return request_invalid("ttl", "and token.expire_time say the same: give one of them");
  }
  if (request.has_ttl()) {
    const std::int64_t seconds = request.ttl().seconds();
    if (seconds < 1 || seconds > kLongestTtl || request.ttl().nanos() < 0) {
      return request_invalid(
          "ttl", "must be from 1 s to 100 years, but got " + std::to_string(seconds) + " s");
    }
    return std::optional(now + std::chrono::seconds(seconds) +
                         std::chrono::duration_cast<system_clock::duration>(
                             std::chrono::nanoseconds(request.ttl().nanos())));
  }
  if (!has_time) return std::optional<model::WallTime>();
  const auto& given = request.token().expire_time();
  const std::int64_t from_now =
      given.seconds() -
      std::chrono::duration_cast<std::chrono::seconds>(now.time_since_epoch()).count();
  if (from_now < 1 || from_now > kLongestTtl) {
    return request_invalid("token.expire_time", "must lie ahead, by 100 years at most");
  }
  return std::optional(model::WallTime(std::chrono::seconds(given.seconds())));
}

void create_token(reconcile::Control& control,
                  UnaryCall<v1::CreateTokenRequest, v1::CreateTokenResponse>& call) {
  const v1::CreateTokenRequest& request = call.request();
  if (!model::valid_app_id(request.token_id())) {
    return call.reject(request_invalid(
        "token_id",
        "must be lower-case letters, digits and hyphens, at most 63, a letter first and no hyphen "
        "last, but got " +
            model::in_quotes(request.token_id()) + ": choose another id"));
  }
  call.about("resource", token_name(request.token_id()));
  const auto rights = to_rights(request.token());
  if (!rights) return call.reject(rights.rejection());
  const model::WallTime now = system_clock::now();
  const auto expire_time = to_expire_time(request, now);
  if (!expire_time) return call.reject(expire_time.rejection());
  auto options = options_of(call);
  if (!options) return;
  model::Caller creator = options->caller;
  creator.client.clear();  // the audit has it
  const std::string secret = new_secret();
  model::Token token{request.token_id(),  hash_secret(secret), rights.value(), now,
                     expire_time.value(), describe(creator)};
  const auto answer = [secret](auto& done, const model::Token& made) {
    v1::CreateTokenResponse response;
    fill(made, *response.mutable_token());
    response.set_secret(secret);
    done.finish(response);
  };
  control.create_token({std::move(token), *std::move(options)}, call.then<model::Token>(answer));
}

void list_tokens(reconcile::Control& control,
                 UnaryCall<v1::ListTokensRequest, v1::ListTokensResponse>& call) {
  const auto tokens = control.tokens();
  const auto page = sorted_page(
      ListKind::Tokens, *tokens, [](const auto& token) { return token.id; },
      call.request().page_size(), call.request().page_token());
  if (!page) return call.reject(page.rejection());
  v1::ListTokensResponse response;
  for (const model::Token* token : page.value().items) fill(*token, *response.add_tokens());
  response.set_next_page_token(page.value().next_page_token);
  call.finish(response);
}

void delete_token(reconcile::Control& control, CallHost& host,
                  UnaryCall<v1::DeleteTokenRequest, v1::DeleteTokenResponse>& call) {
  const std::string& name = call.request().name();
  if (!name.starts_with(kTokens) || !model::valid_app_id(name.substr(kTokens.size()))) {
    return call.reject(
        request_invalid("name", "must be \"tokens/{id}\", but got " + model::in_quotes(name)));
  }
  call.about("resource", name);
  auto options = options_of(call);
  if (!options) return;
  const auto answer = [&host](auto& done, const std::string&) {
    done.finish(v1::DeleteTokenResponse());
    host.end_revoked();
  };
  control.delete_token({name.substr(kTokens.size()), *std::move(options)},
                       call.then<std::string>(answer));
}

}  // namespace

void TokensService::serve(CallHost& host) {
  serve_unary(host, service_, &Tokens::CreateToken,
              [this](auto& call) { create_token(control_, call); });
  serve_unary(host, service_, &Tokens::ListTokens,
              [this](auto& call) { list_tokens(control_, call); });
  serve_unary(host, service_, &Tokens::DeleteToken,
              [this, &host](auto& call) { delete_token(control_, host, call); });
}

}  // namespace appd::api
