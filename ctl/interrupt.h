// Ctrl-C during a change: the process ends at once, but not without saying that the change goes on.
#pragma once

#include <signal.h>

#include <string>

namespace appd::ctl {

// While it lives, SIGINT writes a word to stderr and ends the process with exit code 130. One at a
// time; main thread only.
class InterruptNotice {
 public:
  // `live`: a progress line may stand on the terminal and is wiped first.
  explicit InterruptNotice(bool live);
  ~InterruptNotice();
  InterruptNotice(const InterruptNotice&) = delete;
  InterruptNotice& operator=(const InterruptNotice&) = delete;

  // From here on the word says how to follow what has begun.
  void follow(const std::string& hint);

 private:
  void say(const std::string& text);
  const bool live_;
  struct sigaction before_ {};
};

}  // namespace appd::ctl
