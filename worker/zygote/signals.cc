// Handlers, and the little that they may touch.
#include "worker/zygote/signals.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <utility>

namespace appd::zygote {
namespace {

int signal_event = -1;
volatile sig_atomic_t quit_signalled = 0;
volatile sig_atomic_t reopen_signalled = 0;

void ring() {
  int saved = errno;
  std::uint64_t one = 1;
  // Full: it rings already.
  if (::write(signal_event, &one, sizeof(one)) < 0) errno = saved;
}

void on_child(int) { ring(); }

void on_quit(int) {
  quit_signalled = 1;
  ring();
}

void on_reopen(int) {
  reopen_signalled = 1;
  ring();
}

void handle(int signal, void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  ::sigaction(signal, &action, nullptr);
}

}  // namespace

Result<Signals> Signals::create() {
  UniqueFd bell(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!bell) return sys_error("ZYGOTE_CREATE", "create eventfd", errno);
  signal_event = bell.get();
  handle(SIGCHLD, on_child);
  handle(SIGUSR1, on_reopen);
  return Signals(std::move(bell));
}

void Signals::heed_quit() const {
  handle(SIGCHLD, on_child);
  handle(SIGTERM, on_quit);
  handle(SIGINT, on_quit);
}

void Signals::leave_to_worker() {
  for (int signal : {SIGCHLD, SIGTERM, SIGINT}) handle(signal, SIG_DFL);
  signal_event = -1;
}

void Signals::silence() const {
  std::uint64_t rung = 0;
  if (::read(bell_.get(), &rung, sizeof(rung)) < 0) return;  // it did not ring
}

bool Signals::quit_asked() { return quit_signalled != 0; }

bool Signals::take_reopen() { return std::exchange(reopen_signalled, 0) != 0; }

}  // namespace appd::zygote
