// The state file on disk, opened with every check there is.
#pragma once

#include <string>

#include "common/result.h"
#include "supervisor/store/sqlite.h"

namespace appd::store {

// A foreign process that locks the file must not hold up whoever asks something else: milliseconds.
inline constexpr int kBusyTimeout = 500;

// Makes the file with mode 0600 if there is none (complete or not at all), else refuses what is no
// undamaged state file of this appd or an earlier one. The answer is migrated and in WAL mode.
Result<Database> open_file(const std::string& path);
// The file, and what SQLite makes beside it.
void remove_file(const std::string& path);
// An error about a copy, said of what it is a copy of.
Error told_of(const std::string& path, const std::string& copy, Error error);

}  // namespace appd::store
