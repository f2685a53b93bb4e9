// Tokens in SQL. Apps are joined by blanks, which no id has.
#include "supervisor/store/token_rows.h"

#include "supervisor/store/codec.h"

namespace appd::store {
namespace {

std::string join(const std::vector<std::string>& apps) {
  std::string text;
  for (const std::string& app : apps) text += (text.empty() ? "" : " ") + app;
  return text;
}

std::vector<std::string> split(std::string_view text) {
  std::vector<std::string> apps;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(' '), text.size());
    apps.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return apps;
}

}  // namespace

Result<std::vector<model::Token>> read_tokens(Database& database) {
  Statement rows = TRY(Statement::prepare(
      database,
      "SELECT id, hash, role, apps, create_time, expire_time, creator FROM tokens ORDER BY id"));
  std::vector<model::Token> tokens;
  while (TRY(rows.step())) {
    model::Token token;
    token.id = rows.text(0);
    token.hash = rows.text(1);
    const auto role = model::parse_role(rows.text(2));
    if (!role) {
      return Error{
          ErrorCode::Internal, "STORE_FAILED",
          database.path() + ": tokens row \"" + token.id + "\": no role \"" + rows.text(2) + "\""};
    }
    token.rights = {*role, split(rows.text(3))};
    token.create_time = decode_time(rows.number(4));
    if (const auto time = rows.optional_number(5)) token.expire_time = decode_time(*time);
    token.creator = rows.text(6);
    tokens.push_back(std::move(token));
  }
  return tokens;
}

Result<void> write_token(Database& database, const model::Token& token) {
  Statement statement = TRY(Statement::prepare(
      database,
      "INSERT OR REPLACE INTO tokens (id, hash, role, apps, create_time, expire_time, creator)"
      " VALUES (?,?,?,?,?,?,?)"));
  std::optional<std::int64_t> expire_time;
  if (token.expire_time) expire_time = encode_time(*token.expire_time);
  return statement.bind(token.id)
      .bind(token.hash)
      .bind(model::to_string(token.rights.role))
      .bind(join(token.rights.apps))
      .bind(encode_time(token.create_time))
      .bind(expire_time)
      .bind(token.creator)
      .run();
}

Result<void> remove_token(Database& database, const std::string& id) {
  Statement statement = TRY(Statement::prepare(database, "DELETE FROM tokens WHERE id = ?"));
  return statement.bind(id).run();
}

}  // namespace appd::store
