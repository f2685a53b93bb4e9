// LogKeeper: a thread that keeps the logs of apps within their bounds, and in their places: it
// rotates what is too large or too old, and makes anew what somebody has removed or renamed.
//
//   a line is written ──▶ inotify, once ──▶ looks again and again while the file grows ──▶ inotify
//   …
//
// So an app that writes nothing costs nothing, and one that writes 100 MB/s is looked at some fifty
// times a second. All file operations on logs happen here: they may wait for a disk, and the core
// thread must not.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "common/result.h"
#include "common/unique_fd.h"
#include "supervisor/core/log_policy.h"
#include "supervisor/runtime/log_files.h"
#include "supervisor/runtime/poller.h"

namespace appd::runtime {

// What the keeper is to do for one app.
struct KeptLogs {
  LogPaths paths;
  core::LogPolicy policy;
  bool access = false;  // there is an access log
  bool operator==(const KeptLogs& other) const {
    return policy == other.policy && access == other.access;
  }
};

// Any thread may call; the handlers are called on the keeper's thread.
class LogKeeper {
 public:
  struct Handlers {
    // New descriptors, as of open_logs(), for every process of the app.
    std::function<void(std::string app, std::vector<UniqueFd> files)> renewed;
    // It tries again by itself.
    std::function<void(std::string app, Error error)> failed;
  };

  // All logs lie in this directory.
  static Result<std::unique_ptr<LogKeeper>> start(std::string directory, Handlers handlers);
  ~LogKeeper();

  void keep(std::string app, KeptLogs logs);
  void forget(std::string app);
  // Opens the files again by their names, of one app or, with "", of all; then calls `done` on the
  // keeper's thread.
  void reopen(std::string app, std::function<void()> done);

 private:
  using Time = Poller::Time;
  struct File {
    std::string path;
    std::optional<FileIdentity> identity;  // of the file that the app's processes have
    std::optional<std::int64_t> size_before;
    std::optional<model::WallTime> begun;
    Time looked_at;
    std::optional<Time> look_at;
    int watch = -1;
  };
  struct App {
    KeptLogs logs;
    std::vector<File> files;
    std::optional<Time> renew_at;
    bool failing = false;
  };

  LogKeeper(std::string directory, Handlers handlers, std::unique_ptr<Poller> poller,
            UniqueFd inotify);
  void post(std::function<void()> call);
  void run();
  void turn();
  std::optional<Time> next_deadline() const;
  void do_keep(const std::string& app, KeptLogs logs);
  void renew(const std::string& id, App& app);
  void note_identity(File& file);
  void look(const std::string& id, App& app, File& file);
  bool rotate(const std::string& id, App& app, File& file);
  void arm(File& file);
  void disarm(File& file);
  void fail(const std::string& id, App& app, Error error);
  void read_events();
  void on_name(const std::string& name);
  void watch_directory();

  const std::string directory_;
  const Handlers handlers_;
  const std::unique_ptr<Poller> poller_;
  const UniqueFd inotify_;
  int directory_watch_ = -1;
  std::optional<Time> directory_again_;
  std::map<std::string, App> apps_;

  std::mutex mutex_;  // guards calls_ and ending_
  std::vector<std::function<void()>> calls_;
  bool ending_ = false;
  std::thread thread_;
};

}  // namespace appd::runtime
