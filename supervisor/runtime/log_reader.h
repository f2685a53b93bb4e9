// LogReader: a thread that reads logs for those who ask. Queries take turns in steps of about a
// millisecond; one whose client is slow is not read for, and one that follows costs nothing until
// its file grows.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "supervisor/core/log_query.h"
#include "supervisor/runtime/log_stream.h"
#include "supervisor/runtime/poller.h"

namespace appd::runtime {

// Any thread may call.
class LogReader {
 public:
  // On the reader's thread, once for each next(): hand over, be quick.
  using Deliver = std::function<void(core::LogBatch batch)>;

  // All logs lie in this directory.
  static Result<std::unique_ptr<LogReader>> start(std::string directory);
  ~LogReader();

  // One query in hand. Ends with the object.
  class Reading {
   public:
    Reading(const Reading&) = delete;
    Reading& operator=(const Reading&) = delete;
    ~Reading();
    // Asks for the next batch. A query that follows answers when there is something.
    void next();

   private:
    friend class LogReader;
    Reading(LogReader& reader, std::uint64_t id) : reader_(reader), id_(id) {}
    LogReader& reader_;
    const std::uint64_t id_;
  };
  // The reader must outlive the reading.
  std::unique_ptr<Reading> read(LogPaths paths, core::LogQuery query, Deliver deliver);

 private:
  using Time = Poller::Time;
  struct Entry {
    std::uint64_t id = 0;
    std::unique_ptr<LogStream> stream;
    Deliver deliver;
    bool asked = false;
    std::optional<Time> due;  // of one that waits: it was told of news
    bool waits = false;
    std::vector<int> watches;
  };

  LogReader(std::string directory, std::unique_ptr<Poller> poller, UniqueFd inotify);
  void post(std::function<void()> call);
  void run();
  bool work();
  bool step(Entry& entry);
  void wait_for_news(Entry& entry);
  void watch_directory();
  void read_events();
  void note_news(int watch);

  const std::string directory_;
  const std::unique_ptr<Poller> poller_;
  const UniqueFd inotify_;
  int directory_watch_ = -1;
  std::vector<std::unique_ptr<Entry>> entries_;

  std::mutex mutex_;  // guards calls_, ending_ and last_id_
  std::vector<std::function<void()>> calls_;
  bool ending_ = false;
  std::uint64_t last_id_ = 0;
  std::thread thread_;
};

}  // namespace appd::runtime
