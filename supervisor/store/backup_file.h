// The file of a backup, written through SQLite's online backup.
#pragma once

#include <cstdint>
#include <string>

#include "common/result.h"
#include "supervisor/store/sqlite.h"

namespace appd::store {

// A copy as of now with mode 0600, on disk when this returns; complete or not at all. Never
// replaces a file. Its size. Errors have the reason BACKUP_FAILED.
Result<std::int64_t> write_backup(Database& database, const std::string& path);

}  // namespace appd::store
