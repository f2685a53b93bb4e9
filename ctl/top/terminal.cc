// ncurses stays in here: its names are everybody's.
#include "ctl/top/terminal.h"

#define NCURSES_NOMACROS
#include <curses.h>

#include <clocale>
#include <cstdio>
#include <cstdlib>

namespace appd::ctl {
namespace {

enum : short { kRed = 1, kGreen = 2, kYellow = 3 };

std::optional<TopKey> key_of(int code) {
  switch (code) {
    case KEY_UP:
    case 'k':
      return TopKey::Up;
    case KEY_DOWN:
    case 'j':
      return TopKey::Down;
    case KEY_PPAGE:
      return TopKey::PageUp;
    case KEY_NPAGE:
      return TopKey::PageDown;
    case KEY_HOME:
    case 'g':
      return TopKey::First;
    case KEY_END:
    case 'G':
      return TopKey::Last;
    case '+':
    case '=':  // the same key, without shift
      return TopKey::More;
    case '-':
      return TopKey::Fewer;
    case 'r':
      return TopKey::Reload;
    case 'w':
    case '\n':
      return TopKey::Workers;
    case 's':
      return TopKey::Sort;
    case 'S':
      return TopKey::Reverse;
    case 'h':
    case '?':
      return TopKey::Help;
    case 'q':
    case 3:  // Ctrl-C
      return TopKey::Quit;
    case KEY_RESIZE:
      return std::nullopt;
    default:
      return TopKey::Other;
  }
}

attr_t attributes_of(const TopLine& line, bool colour) {
  attr_t out = line.selected ? A_REVERSE : A_NORMAL;
  switch (line.colour) {
    case Colour::Plain:
      break;
    case Colour::Bold:
      out |= A_BOLD;
      break;
    case Colour::Dim:
      out |= A_DIM;
      break;
    case Colour::Red:
      out |= colour ? static_cast<attr_t>(COLOR_PAIR(kRed)) : A_BOLD;
      break;
    case Colour::Green:
      if (colour) out |= static_cast<attr_t>(COLOR_PAIR(kGreen));
      break;
    case Colour::Yellow:
      if (colour) out |= static_cast<attr_t>(COLOR_PAIR(kYellow));
      break;
  }
  return out;
}

}  // namespace

struct Terminal::Impl {
  explicit Impl(SCREEN* made) : screen(made) {}
  ~Impl() {
    ::endwin();
    ::delscreen(screen);
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  SCREEN* screen;
  bool colour = false;
};

Terminal::Terminal(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Terminal::Terminal(Terminal&&) noexcept = default;
Terminal::~Terminal() = default;

Result<Terminal> Terminal::open(bool colour) {
  // Our lines are UTF-8, whatever the locale says of sorting and money.
  std::setlocale(LC_CTYPE, "C.UTF-8");
  SCREEN* screen = ::newterm(nullptr, stdout, stdin);
  if (screen == nullptr) {
    const char* name = std::getenv("TERM");
    return Error{ErrorCode::FailedPrecondition, "TERMINAL_UNKNOWN",
                 "the terminal '" + std::string(name != nullptr ? name : "") +
                     "' is not known here: set TERM, or use --batch",
                 0};
  }
  Terminal terminal(std::make_unique<Impl>(screen));
  ::raw();  // Ctrl-C is a key: the terminal is to be given back
  ::noecho();
  ::curs_set(0);
  ::keypad(stdscr, TRUE);
  ::nodelay(stdscr, TRUE);
  ::set_escdelay(25);
  terminal.impl_->colour = colour && ::has_colors() == TRUE;
  if (terminal.impl_->colour) {
    ::start_color();
    ::use_default_colors();
    ::init_pair(kRed, COLOR_RED, -1);
    ::init_pair(kGreen, COLOR_GREEN, -1);
    ::init_pair(kYellow, COLOR_YELLOW, -1);
  }
  return terminal;
}

std::optional<TopKey> Terminal::key() {
  for (int code = ::wgetch(stdscr); code != ERR; code = ::wgetch(stdscr)) {
    if (const std::optional<TopKey> key = key_of(code)) return key;
  }
  return std::nullopt;
}

int Terminal::width() const { return ::getmaxx(stdscr); }
int Terminal::height() const { return ::getmaxy(stdscr); }

void Terminal::draw(std::span<const TopLine> lines) {
  ::werase(stdscr);
  int row = 0;
  for (const TopLine& line : lines) {
    const attr_t attributes = attributes_of(line, impl_->colour);
    ::wattrset(stdscr, static_cast<int>(attributes));
    ::mvwaddnstr(stdscr, row, 0, line.text.c_str(), static_cast<int>(line.text.size()));
    // The bar goes to the edge; a space in the last cell of all would scroll.
    if (line.selected) {
      ::mvwchgat(stdscr, row, 0, -1, attributes & ~A_COLOR,
                 static_cast<short>(PAIR_NUMBER(attributes)), nullptr);
    }
    ++row;
  }
  ::wattrset(stdscr, A_NORMAL);
  ::wrefresh(stdscr);
}

}  // namespace appd::ctl
