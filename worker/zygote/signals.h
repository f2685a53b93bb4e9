// Signals: those that a zygote lives by, turned into something that can be polled for.
#pragma once

#include "common/result.h"
#include "common/unique_fd.h"

namespace appd::zygote {

// Owns the bell that the handlers ring. One a process, since handlers can reach no more; the
// zygote's only thread.
class Signals {
 public:
  Signals() = default;
  // SIGCHLD and SIGUSR1 ring from now on.
  static Result<Signals> create();
  // So do SIGTERM and SIGINT, which mean to quit; and SIGCHLD again, whose handler an import may
  // have replaced.
  void heed_quit() const;
  // In a fork: its signals are its own, and ring nowhere.
  static void leave_to_worker();

  // Readable when a signal came since silence().
  int fd() const { return bell_.get(); }
  void silence() const;
  static bool quit_asked();
  // Once for each time.
  static bool take_reopen();

 private:
  explicit Signals(UniqueFd bell) : bell_(std::move(bell)) {}
  UniqueFd bell_;
};

}  // namespace appd::zygote
