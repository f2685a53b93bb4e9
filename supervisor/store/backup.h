// Backups: copies of the state file, made while it is in use and looked at before they are trusted.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "common/result.h"
#include "supervisor/model/observed.h"
#include "supervisor/store/store.h"

namespace appd::store {

// A copy of a backup that can be migrated without touching the backup itself. Owns the copy, which
// is removed with it.
class BackupCopy {
 public:
  // Errors have the reason BACKUP_UNUSABLE, or STORE_FAILED when there is no room for the copy.
  static Result<std::unique_ptr<BackupCopy>> open(const std::string& backup,
                                                  const std::string& copy);
  ~BackupCopy();
  BackupCopy(const BackupCopy&) = delete;
  BackupCopy& operator=(const BackupCopy&) = delete;

  const std::vector<model::AppRecord>& apps() const { return apps_; }
  const std::string& path() const { return path_; }

 private:
  explicit BackupCopy(std::string path) : path_(std::move(path)) {}
  std::string path_;
  std::vector<model::AppRecord> apps_;
};

}  // namespace appd::store
