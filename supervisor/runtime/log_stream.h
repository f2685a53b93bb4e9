// LogStream: the answer to one query, made in steps: where it begins, then line by line, filtered,
// both logs merged by time.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "supervisor/core/log_query.h"
#include "supervisor/runtime/log_files.h"
#include "supervisor/runtime/log_files_reader.h"
#include "supervisor/runtime/log_tail_finder.h"

namespace appd::runtime {

// One thread. Holds at most a few hundred lines.
class LogStream {
 public:
  LogStream(const LogPaths& paths, core::LogQuery query);

  enum class Step {
    More,   // call again
    Ready,  // there is a batch
    Wait,   // nothing now, but something may be written
    Ended,  // nothing any more; the batch may still have entries
  };
  // Works for about a millisecond.
  Step step();
  std::vector<core::LogEntry> take_batch() { return std::exchange(batch_, {}); }
  // Descriptors of files whose growth may end a Wait.
  std::vector<int> watched() const;

 private:
  struct Pending {
    core::LogEntry entry;
    LogPosition end;
    std::optional<model::WallTime> order;  // its time, or that of the line before
  };
  struct Source {
    core::LogSource kind = core::LogSource::App;
    std::string path;
    std::unique_ptr<LogTailFinder> finder;  // while the beginning is not known
    LogFilesReader reader;
    std::deque<Pending> pending;
    LogPosition given;  // behind the last entry that was given
    std::optional<model::WallTime> last_time;
    bool at_end = false;
  };

  void add_source(core::LogSource kind, const std::string& path);
  void begin(Source& source);
  void begin_since(Source& source);
  bool matches(Source& source, std::string_view line, core::LineOrigin& origin) const;
  void take(Source& source, const LogFilesReader::Line& line);
  bool find_beginnings();
  bool read_sources();
  bool give();
  Source* next_source();
  std::string cursor() const;

  const core::LogQuery query_;
  std::vector<std::unique_ptr<Source>> sources_;
  std::int32_t surplus_ = 0;  // of two tails together
  bool begun_ = false;
  std::vector<core::LogEntry> batch_;
  std::size_t batch_bytes_ = 0;
};

// Whether it is one of ours; for who asks with it.
bool valid_cursor(std::string_view cursor);

}  // namespace appd::runtime
