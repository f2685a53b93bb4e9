// Progress on one line: carriage return, text, erase to the end of the line (ECMA-48 EL).
#include "ctl/progress.h"

#include "ctl/duration.h"
#include "ctl/render.h"

namespace appd::ctl {

std::string progress_line(const v1::Operation& operation, std::chrono::milliseconds elapsed) {
  const v1::Operation::Progress& progress = operation.progress();
  std::string line =
      escape_line(short_name(operation.app())) + "  " + phase_text(operation.phase());
  if (progress.wanted_workers() > 0 || progress.ready_workers() > 0) {
    line += "  " + std::to_string(progress.ready_workers()) + "/" +
            std::to_string(progress.wanted_workers()) + " ready";
  }
  if (progress.draining_workers() > 0) {
    line += "  " + std::to_string(progress.draining_workers()) + " draining";
  }
  line += "  " + format_elapsed(elapsed);
  if (!operation.detail().empty()) line += "  " + escape_line(operation.detail());
  return line;
}

void Progress::show(const v1::Operation& operation) {
  const std::lock_guard lock(mutex_);
  if (!live_) return;
  const auto elapsed = std::chrono::duration_cast<std::chrono::milliseconds>(
      std::chrono::steady_clock::now() - began_);
  const std::string line = progress_line(operation, elapsed);
  // One column short, so that no terminal wraps the line and breaks the rewriting.
  const std::size_t room = style_.width > 1 ? static_cast<std::size_t>(style_.width) - 1 : 79;
  std::fprintf(terminal_, "\r%s\x1b[K", truncate(line, room).c_str());
  std::fflush(terminal_);
  shown_ = true;
}

void Progress::clear() {
  const std::lock_guard lock(mutex_);
  live_ = false;
  if (!shown_) return;
  shown_ = false;
  std::fputs("\r\x1b[K", terminal_);
  std::fflush(terminal_);
}

}  // namespace appd::ctl
