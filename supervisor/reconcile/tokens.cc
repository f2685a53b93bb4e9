// Tokens: kept in the store, and by memory for whoever asks on any thread.
#include <algorithm>

#include "supervisor/reconcile/reconciler.h"

namespace appd::reconcile {
namespace {

auto place_of(std::vector<model::Token>& tokens, const std::string& id) {
  return std::lower_bound(
      tokens.begin(), tokens.end(), id,
      [](const model::Token& token, const auto& key) { return token.id < key; });
}

}  // namespace

Result<void> Reconciler::load_tokens() {
  set_tokens(TRY(store_->tokens()));
  return {};
}

void Reconciler::set_tokens(std::vector<model::Token> tokens) {
  const std::lock_guard lock(tokens_mutex_);
  tokens_ = std::make_shared<const std::vector<model::Token>>(std::move(tokens));
}

std::shared_ptr<const std::vector<model::Token>> Reconciler::tokens() const {
  const std::lock_guard lock(tokens_mutex_);
  return tokens_;
}

Answer<model::Token> Reconciler::do_create_token(const CreateToken& request) {
  const std::string& id = request.token.id;
  // Who repeats the call has not got the secret: what was made then is made anew.
  auto replay =
      replayed<model::Token>(request.options, [](const store::Replay&) { return model::Token(); });
  if (replay && !*replay) return *replay;
  if (ending()) return shutting_down();
  std::vector<model::Token> tokens = *this->tokens();
  const auto place = place_of(tokens, id);
  const bool known = place != tokens.end() && place->id == id;
  if (known && !replay) {
    return Error{ErrorCode::AlreadyExists, "TOKEN_EXISTS",
                 "there is a token " + id + ": choose another name, or revoke it first"};
  }
  if (!known && tokens.size() >= model::kMostTokens) {
    return Error{ErrorCode::ResourceExhausted, "TOO_MANY_TOKENS",
                 "there are " + std::to_string(tokens.size()) +
                     " tokens: revoke those that nobody needs (appctl token list)"};
  }
  store::Change change;
  change.put_token = request.token;
  std::string words =
      "created token " + id + " " + std::string(to_string(request.token.rights.role));
  for (const std::string& app : request.token.rights.apps) words += " " + app;
  if (auto stored = commit_tokens(std::move(change), words, id, request.options); !stored) {
    return std::move(stored).error();
  }
  if (known) {
    *place = request.token;
  } else {
    tokens.insert(place, request.token);
  }
  set_tokens(std::move(tokens));
  return request.token;
}

Answer<std::string> Reconciler::do_delete_token(const DeleteToken& request) {
  auto replay = replayed<std::string>(request.options,
                                      [](const store::Replay& first) { return first.operation; });
  if (replay) return *replay;
  std::vector<model::Token> tokens = *this->tokens();
  const auto place = place_of(tokens, request.id);
  if (place == tokens.end() || place->id != request.id) {
    return Error{ErrorCode::NotFound, "TOKEN_NOT_FOUND",
                 "there is no token " + request.id + "; see appctl token list"};
  }
  store::Change change;
  change.remove_token = request.id;
  const std::string words = "revoked token " + request.id;
  if (auto stored = commit_tokens(std::move(change), words, request.id, request.options); !stored) {
    return std::move(stored).error();
  }
  tokens.erase(place);
  set_tokens(std::move(tokens));
  return request.id;
}

// One transaction, as every change.
Result<void> Reconciler::commit_tokens(store::Change change, const std::string& words,
                                       const std::string& id, const CallOptions& options) {
  change.audit = audit_line(words, options);
  change.request = answered_by(options, "", id);
  if (auto stored = store_->commit(change, std::chrono::system_clock::now()); !stored) {
    log_->error("cannot store a change token={} why=\"{}\"", id, stored.error().message);
    return stored;
  }
  log_->info("change accepted what=\"{}\"", change.audit);
  return {};
}

void Reconciler::create_token(CreateToken request, Reply<model::Token> reply) {
  post([this, request = std::move(request), reply = std::move(reply)] {
    reply(do_create_token(request));
  });
}

void Reconciler::delete_token(DeleteToken request, Reply<std::string> reply) {
  post([this, request = std::move(request), reply = std::move(reply)] {
    reply(do_delete_token(request));
  });
}

}  // namespace appd::reconcile
