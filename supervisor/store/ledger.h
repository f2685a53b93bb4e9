// Ledger: the file that keeps the counters of metrics while appd is away.
//
// A counter that somebody has seen must never become smaller, or it looks as if it had begun anew.
// So what is about to be shown is written here first: what ended rollouts have done, and how far
// those that run had come. It is worth nothing after a restart of the host, when everything begins
// at 0; so it says which boot it is of, and is never synced.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "common/result.h"
#include "supervisor/model/measurement.h"

namespace appd::store {

struct AppBooks {
  model::Tally ended;                            // of the app, and of rollouts that have ended
  std::map<std::uint64_t, model::Tally> boards;  // of those that had not, by scoreboard

  bool operator==(const AppBooks&) const = default;
};

struct Books {
  std::map<std::string, AppBooks> apps;  // by uid
  model::CallCounts calls;

  bool operator==(const Books&) const = default;
};

// Text, a line for each row of numbers. Rows that are not known are passed over, and those that are
// shorter are filled up with 0: what is counted may become more.
std::string encode(const Books& books, std::string_view boot);
// Empty if it is of another boot, or no ledger.
Books decode(std::string_view text, std::string_view boot);

// Empty if there is none that counts.
Books load_books(const std::string& path);
// The file is the old one or the new one, whenever appd is killed.
Result<void> save_books(const std::string& path, const Books& books);

}  // namespace appd::store
