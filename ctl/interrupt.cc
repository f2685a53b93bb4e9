// The handler may run between any two instructions, so it finds its text behind one atomic pointer
// and makes only async-signal-safe calls (signal-safety(7)).
#include "ctl/interrupt.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>

#include "ctl/exit_code.h"
#include "ctl/report.h"

namespace appd::ctl {
namespace {

struct Text {
  std::array<char, 512> bytes{};
  std::size_t length = 0;
};

// One is shown, the other may be written.
std::array<Text, 2> texts;
std::atomic<const Text*> shown = nullptr;
static_assert(std::atomic<const Text*>::is_always_lock_free);

void on_interrupt(int) {
  const Text* text = shown.load();
  if (text != nullptr) {
    const ssize_t ignored = ::write(STDERR_FILENO, text->bytes.data(), text->length);
    static_cast<void>(ignored);
  }
  ::_exit(static_cast<int>(ExitCode::Interrupted));
}

}  // namespace

InterruptNotice::InterruptNotice(bool live) : live_(live) {
  say("Whether the change was accepted is not known; look with: appctl operations");
  struct sigaction action {};
  action.sa_handler = on_interrupt;
  ::sigaction(SIGINT, &action, &before_);
}

InterruptNotice::~InterruptNotice() {
  ::sigaction(SIGINT, &before_, nullptr);
  shown = nullptr;
}

void InterruptNotice::follow(const std::string& hint) { say(hint); }

void InterruptNotice::say(const std::string& text) {
  Text& spare = shown.load() == texts.data() ? texts.back() : texts.front();
  const std::string line =
      std::string(live_ ? "\r\x1b[K" : "\n") + "appctl: interrupted. " + text + "\n";
  spare.length = std::min(line.size(), spare.bytes.size());
  std::memcpy(spare.bytes.data(), line.data(), spare.length);
  shown = &spare;
}

}  // namespace appd::ctl
