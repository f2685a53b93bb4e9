// LogPipe: what a program writes, on its way to the app's log.
//
// A program keeps the descriptors that it was started with, so it cannot follow a log that is
// rotated, as workers do (log_files.h). It writes into a pipe, and the zygote writes whole lines of
// that to the file that is the log by now, and says whose they are.
#pragma once

#include <string>
#include <string_view>

#include "common/result.h"
#include "common/unique_fd.h"

namespace appd::net {

// Owns both ends. One thread.
class LogPipe {
 public:
  static constexpr std::size_t kMostTail = 4096;

  // `writer` as of write_log_of(). A program that outlives us must not die of a broken pipe: it
  // waits when the pipe is full.
  static Result<LogPipe> create(std::string writer, bool outlives_us);

  // For descriptors 1 and 2 of the program, until it has been started.
  int writing_end() const { return writing_.get(); }
  void close_writing_end() { writing_.reset(); }

  // Readable when read() has something to do; -1: all who could write are gone.
  int fd() const { return reading_.get(); }
  // Writes what has come, but not without end if there is one who writes without end.
  void read();
  // Nothing more is read; a line that has begun is written.
  void end();
  // The last that was read, at most kMostTail bytes.
  const std::string& tail() const { return tail_; }

 private:
  LogPipe(std::string writer, UniqueFd reading, UniqueFd writing)
      : writer_(std::move(writer)), reading_(std::move(reading)), writing_(std::move(writing)) {}
  void take(std::string_view text);
  void write_pending();

  std::string writer_;
  UniqueFd reading_;
  UniqueFd writing_;
  std::string pending_;  // the beginning of a line
  bool within_line_ = false;
  std::string tail_;
};

}  // namespace appd::net
