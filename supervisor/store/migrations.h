// The schema, and the way to it from every earlier one.
#pragma once

#include <cstdint>

#include "common/result.h"
#include "supervisor/store/sqlite.h"

namespace appd::store {

// In the file's header (PRAGMA application_id): "appd".
inline constexpr std::int64_t kApplicationId = 0x61707064;

// The schema that this appd writes (PRAGMA user_version).
std::int32_t current_schema_version();

// Takes a file of schema `from` to schema `to`, each step in a transaction of its own.
Result<void> migrate(Database& database, std::int64_t from,
                     std::int64_t to = current_schema_version());

}  // namespace appd::store
