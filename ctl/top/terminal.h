// The terminal, by ncurses: keys in, lines out. One at a time; gives the terminal back as it was.
#pragma once

#include <memory>
#include <optional>
#include <span>

#include "common/result.h"
#include "ctl/top/view.h"

namespace appd::ctl {

class Terminal {
 public:
  // An Error: ncurses does not know the terminal.
  static Result<Terminal> open(bool colour);
  Terminal(Terminal&&) noexcept;
  ~Terminal();

  // What was pressed, without waiting. Also takes note of another size.
  std::optional<TopKey> key();
  int width() const;
  int height() const;
  void draw(std::span<const TopLine> lines);

 private:
  struct Impl;
  explicit Terminal(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace appd::ctl
