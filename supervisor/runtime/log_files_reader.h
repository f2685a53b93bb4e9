// LogFilesReader: one log and its rotated predecessors as one long text, read forward, whatever is
// rotated, removed or truncated meanwhile.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "common/unique_fd.h"
#include "supervisor/core/log_lines.h"
#include "supervisor/runtime/log_files.h"

namespace appd::runtime {

// Where a reader stands.
struct LogPosition {
  FileIdentity file;
  std::int64_t offset = 0;

  std::string text() const;  // "64769.1234.5678"
  static std::optional<LogPosition> parse(std::string_view text);
};

// The number of the file that is this one, 0 for the log itself; nullopt: it is not there any more.
std::optional<std::int32_t> find_log(const std::string& path, const FileIdentity& file);
// The number of the oldest file.
std::int32_t oldest_log(const std::string& path);

// Owns at most two descriptors and a line. One thread.
class LogFilesReader {
 public:
  struct Line {
    std::string_view text;
    bool truncated = false;
    bool gap = false;
    LogPosition end;  // behind it
  };
  using Take = std::function<void(const Line& line)>;
  enum class Progress { More, End };

  explicit LogFilesReader(std::string path) : path_(std::move(path)) {}

  void start_at_oldest();
  void start_at(std::int32_t number, std::int64_t offset = 0);
  void start_at_end();
  // False: that file is gone; it starts at the oldest that is there.
  bool start_behind(const LogPosition& position);

  // Reads on, about `budget` bytes. End: all that there is now was taken, but for a line that has
  // not ended.
  Progress read(std::size_t budget, const Take& take);
  // That line; for who does not wait for its end.
  void take_partial(const Take& take);

  LogPosition position() const { return {live_.identity, live_.taken}; }
  // Descriptors whose growth matters; -1: none.
  int live() const { return live_.file.get(); }
  int late() const { return late_.file.get(); }

 private:
  struct Open {
    UniqueFd file;
    FileIdentity identity;
    std::int64_t offset = 0;  // read up to here
    std::int64_t taken = 0;   // and up to here lines have ended
    core::LineSplitter lines;
  };
  bool open(std::int32_t number, std::int64_t offset);
  std::size_t read_some(Open& from, std::size_t budget, const Take& take);
  bool go_on(const Take& take);
  void take_rest(Open& from, const Take& take);

  const std::string path_;
  Open live_;
  Open late_;  // the file before: some process may still have lines for it
  bool gap_ = false;
};

}  // namespace appd::runtime
