// LogTailFinder: where the last N lines that match begin. It looks at ever larger ends of the
// newest file, then at the file before it, in steps: logs may be large, and others wait for the
// same thread.
#pragma once

#include <deque>
#include <functional>
#include <string>
#include <string_view>

#include "supervisor/runtime/log_files_reader.h"

namespace appd::runtime {

class LogTailFinder {
 public:
  // Whether a line (that may have been cut) counts.
  using Matches = std::function<bool(std::string_view line)>;

  LogTailFinder(std::string path, std::int32_t wanted, Matches matches);

  // Looks at about `budget` bytes. True: it is known.
  bool step(std::size_t budget);
  // Puts the reader there.
  void place(LogFilesReader& reader) const;
  std::int32_t found() const { return found_; }

 private:
  void begin_window();
  void begin_file(std::int32_t number);
  bool end_window();

  const std::string path_;
  const std::int32_t wanted_;
  const Matches matches_;
  UniqueFd file_;
  std::int32_t number_ = 0;
  std::int64_t window_ = 0;  // bytes before end_
  std::int64_t end_ = 0;
  std::int64_t at_ = 0;  // read up to here
  std::int64_t line_begins_ = 0;
  bool skipping_ = false;  // up to the first line that begins in the window
  core::LineSplitter lines_;
  std::deque<std::int64_t> begins_;  // of the last lines that match
  std::int32_t found_ = 0;           // in this file and those after it
  std::int32_t found_later_ = 0;     // in those after it
  bool done_ = false;
  std::int32_t start_number_ = 0;
  std::int64_t start_offset_ = 0;
};

}  // namespace appd::runtime
