// The rows of the table of revisions: written, ended, read and given up. Inside the transaction of
// a change, if there is one.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "supervisor/model/revision.h"
#include "supervisor/store/sqlite.h"

namespace appd::store {

// Also gives up what is not kept any more.
Result<void> write_revision(Database& database, const model::Revision& revision);
// What became of the operation is noted with the revision that it wrote, if there is one.
Result<void> note_outcome(Database& database, const model::Operation& operation);
Result<void> remove_revisions(Database& database, std::string_view app);
// Newest first.
Result<std::vector<model::Revision>> read_revisions(Database& database, std::string_view app);

}  // namespace appd::store
