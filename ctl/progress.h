// The live line of a change that is under way: rewritten in place on a terminal, nothing elsewhere.
#pragma once

#include <chrono>
#include <cstdio>
#include <mutex>
#include <string>

#include "appd/v1/operations.pb.h"
#include "ctl/text.h"

namespace appd::ctl {

// "myapp  switching  12/17 ready  0.020s". Pure.
std::string progress_line(const v1::Operation& operation, std::chrono::milliseconds elapsed);

// Owns the terminal's current line from the first show() to clear(). Any thread.
class Progress {
 public:
  // Shows nothing unless `live`.
  Progress(std::FILE* terminal, Style style, bool live)
      : terminal_(terminal), style_(style), live_(live) {}
  ~Progress() { clear(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void show(const v1::Operation& operation);
  // Takes the line away; show() does nothing from here on.
  void clear();

 private:
  std::mutex mutex_;
  std::FILE* terminal_;
  const Style style_;
  bool live_;
  bool shown_ = false;
  const std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
};

}  // namespace appd::ctl
