// The table of tokens.
#pragma once

#include <string>
#include <vector>

#include "supervisor/model/token.h"
#include "supervisor/store/sqlite.h"

namespace appd::store {

// By id.
Result<std::vector<model::Token>> read_tokens(Database& database);
// Within a transaction.
Result<void> write_token(Database& database, const model::Token& token);
Result<void> remove_token(Database& database, const std::string& id);

}  // namespace appd::store
