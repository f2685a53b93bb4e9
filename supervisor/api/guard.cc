// Credentials against rules and tokens.
#include "supervisor/api/guard.h"

#include <algorithm>

#include "supervisor/api/access.h"
#include "supervisor/api/secret.h"
#include "supervisor/model/text.h"

namespace appd::api {
namespace {

Rejection denied(ErrorCode code, const char* reason, std::string message) {
  return {{code, reason, std::move(message)}, {}};
}

// RFC 6750 §2.1, its scheme in any case. Empty: it is no bearer token.
std::string_view bearer(std::string_view authorization) {
  constexpr std::string_view kScheme = "bearer ";
  const bool is_bearer =
      authorization.size() > kScheme.size() &&
      std::equal(kScheme.begin(), kScheme.end(), authorization.begin(),
                 [](char a, char b) { return a == (b >= 'A' && b <= 'Z' ? b - 'A' + 'a' : b); });
  return is_bearer ? authorization.substr(kScheme.size()) : std::string_view();
}

const model::ClientRule* rule_for(const std::vector<model::ClientRule>& rules,
                                  const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    const auto found =
        std::find_if(rules.begin(), rules.end(), [&](const auto& r) { return r.name == name; });
    if (found != rules.end()) return &*found;
  }
  return nullptr;
}

}  // namespace

Answer<model::Token> Guard::token_of(const std::string& hash, model::WallTime now) const {
  const auto tokens = control_.tokens();
  // All of them are looked at, whichever it is.
  const model::Token* found = nullptr;
  for (const model::Token& token : *tokens) {
    if (same_hash(token.hash, hash)) found = &token;
  }
  if (found == nullptr) {
    return denied(ErrorCode::Unauthenticated, "TOKEN_UNKNOWN",
                  "appd knows no such token: it has been revoked, or belongs to another appd; ask "
                  "whoever runs this one for a new one (appctl token create)");
  }
  if (found->expired(now)) {
    return denied(ErrorCode::Unauthenticated, "TOKEN_EXPIRED",
                  "the token " + found->id +
                      " has expired: ask whoever runs appd for a new one (appctl token create)");
  }
  return *found;
}

Answer<Identity> Guard::identify(const runtime::Connection& connection,
                                 const Credentials& credentials, model::WallTime now) const {
  Identity identity;
  identity.caller = connection.caller;
  identity.rights.role = connection.most;
  if (credentials.authorization) {
    const std::string_view secret = bearer(*credentials.authorization);
    if (secret.empty()) {
      return denied(ErrorCode::Unauthenticated, "TOKEN_UNKNOWN",
                    "the call's authorization is no bearer token: send \"Bearer appd_…\"");
    }
    identity.token_hash = hash_secret(secret);
    const auto token = token_of(identity.token_hash, now);
    if (!token) return token.rejection();
    identity.caller.identity = "token " + token.value().id;
    identity.expire_time = token.value().expire_time;
    identity.rights = token.value().rights;
  } else if (!credentials.certificate.empty()) {
    const model::ClientRule* rule = rule_for(clients_, credentials.certificate);
    if (rule == nullptr) {
      const std::string& name = credentials.certificate.front();
      return denied(ErrorCode::PermissionDenied, "CLIENT_UNKNOWN",
                    "no rule is about the certificate of " + model::in_quotes(name) +
                        ": ask whoever runs appd to start it with --client " +
                        model::client_text(name) + "=ROLE");
    }
    identity.caller.identity = "certificate " + model::client_text(rule->name);
    identity.rights = rule->rights;
  } else if (connection.tls) {
    return denied(ErrorCode::Unauthenticated, "CREDENTIALS_MISSING",
                  "this call says nothing about who makes it: send a token (appctl: --token-file "
                  "FILE or APPD_TOKEN), which whoever runs appd makes by appctl token create");
  }
  identity.rights.role = std::min(identity.rights.role, connection.most);
  return identity;
}

std::optional<Rejection> Guard::check_role(const Identity& identity,
                                           const google::protobuf::Descriptor& type) const {
  return api::check_role(identity.rights.role, type, identity.caller.identity);
}

std::optional<Rejection> Guard::check(const Identity& identity,
                                      const google::protobuf::Message& request,
                                      model::RateLimit::Time now) {
  const auto& type = *request.GetDescriptor();
  const std::string& name = identity.caller.identity;
  if (auto denied = check_apps(identity.rights, request, name)) return denied;
  if (needed_role(type) == model::Role::Viewer) return std::nullopt;
  const std::string who =
      name.empty() ? "uid " + std::to_string(identity.caller.uid.value_or(-1)) : name;
  if (changes_.take(who, now)) return std::nullopt;
  return denied(ErrorCode::ResourceExhausted, "RATE_LIMITED",
                who +
                    " makes more changes than appd takes from one caller (--change-rate): try "
                    "again in a second, and less often");
}

std::optional<Rejection> Guard::recheck(const Identity& identity, model::WallTime now) const {
  if (identity.token_hash.empty()) return std::nullopt;
  const auto token = token_of(identity.token_hash, now);
  return token ? std::nullopt : std::optional(token.rejection());
}

}  // namespace appd::api
