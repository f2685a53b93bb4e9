// Store: what was asked for, on disk. The only folder that includes sqlite3.h.
//
// SQLite in WAL mode with synchronous=FULL: what commit() answered survives a power cut. The schema
// is drawn in migrations.cc. One Store a state directory (the caller holds the lock).
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"
#include "supervisor/model/death.h"
#include "supervisor/model/revision.h"
#include "supervisor/model/token.h"

namespace appd::store {

// The answer that a request_id already got: its operation, and what the request was.
struct Replay {
  std::string fingerprint;  // of the method and request it belongs to
  std::string app;          // id
  std::string operation;    // id
};

// Everything that one call changes, written in one transaction or not at all.
struct Change {
  std::optional<model::AppRecord> put_app;        // insert or replace
  std::optional<std::string> remove_app;          // id; its operations stay, all else goes
  std::optional<model::Revision> put_revision;    // of the app that is put
  std::optional<model::Operation> put_operation;  // insert or replace
  std::vector<model::Operation> more_operations;  // ended by this change (superseded)
  std::vector<model::Death> deaths;               // certificates to add
  std::optional<model::Token> put_token;          // insert or replace
  std::optional<std::string> remove_token;        // id
  struct Request {
    std::string id;
    Replay replay;
  };
  std::optional<Request> request;
  std::string audit;  // one line: what was done; empty: nothing worth an audit record
};

// Core thread only. Failed writes leave the file as it was (reason STORE_FAILED; ResourceExhausted
// when the disk is full).
class Store {
 public:
  // Creates the file with mode 0600, or migrates an older one in one transaction. Refuses a newer
  // schema, and a file that is damaged, with a message that names the file.
  static Result<std::unique_ptr<Store>> open(const std::string& path);
  ~Store();
  // Whether open() and reading all of it would succeed, tried on a copy beside the file. Another
  // process may have it open.
  static Result<void> rehearse(const std::string& path);

  Result<std::vector<model::AppRecord>> apps();
  // Newest first. Ended ones are kept: the newest 200 of each app, and those of removed apps for 24
  // hours.
  Result<std::vector<model::Operation>> operations();
  // Newest first. The newest 100 of each app are kept, the last good one, and the last good one
  // before that which wants something else. How each ended follows its operation.
  Result<std::vector<model::Revision>> revisions(std::string_view app);
  // By app, then newest first: of one app, or of all. The newest 100 of each app are kept.
  Result<std::vector<model::Death>> deaths(const std::optional<std::string>& app);
  // The newest of each app.
  Result<std::vector<model::Death>> last_deaths();
  // By id.
  Result<std::vector<model::Token>> tokens();
  Result<std::optional<Replay>> find_request(std::string_view request_id);
  // Of these changes in their order all or none: one transaction, one sync. Also forgets operations
  // and revisions beyond what is kept and all but the newest 10,000 audit records, and once a
  // minute request ids older than 24 hours.
  Result<void> commit_all(std::span<const Change> changes, model::WallTime now);
  Result<void> commit(const Change& change, model::WallTime now) {
    return commit_all({&change, 1}, now);
  }
  // Whether the file holds what can be read and nothing else, on disk. After a commit that failed
  // it may not, nor may what an earlier appd has left; it is then tried to bring that about, as
  // every commit does first.
  bool settled();
  std::int32_t schema_version() const;
  static std::int32_t newest_schema();
  // Writes a copy as of now to a file that is not there yet, complete or not at all; its size.
  Result<std::int64_t> backup(const std::string& path);
  // As commit() of all these changes, each of which puts an app, in one transaction; with the
  // histories and certificates that these apps have in the state file `from`.
  Result<void> restore(const std::string& from, const std::vector<Change>& changes,
                       model::WallTime now);

 private:
  struct Impl;
  explicit Store(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace appd::store
