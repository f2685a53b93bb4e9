// The table of death certificates.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "supervisor/model/death.h"
#include "supervisor/store/sqlite.h"

namespace appd::store {

// By app, then newest first; of one app or of all, and perhaps only the newest of each.
Result<std::vector<model::Death>> read_deaths(Database& database,
                                              const std::optional<std::string>& app,
                                              bool newest_only);
// Adds them and forgets the oldest beyond what is kept. Within a transaction.
Result<void> write_deaths(Database& database, const std::vector<model::Death>& deaths);
Result<void> remove_deaths(Database& database, const std::string& app);

}  // namespace appd::store
