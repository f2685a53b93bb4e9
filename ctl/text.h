// Text for a terminal: escaping of what came from elsewhere, widths, colours, aligned tables, and
// "did you mean". Pure: width and colour are passed in.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace appd::ctl {

// What the reader's side can show.
struct Style {
  int width = 0;  // columns; 0: not a terminal, nothing is cut
  bool colour = false;
};

enum class Colour { Plain, Dim, Bold, Red, Green, Yellow };

std::string paint(const Style& style, Colour colour, std::string_view text);

// Makes control characters (C0, DEL, C1) and direction overrides visible as \n, \x1b, \u202e, so
// that no name, path or traceback can forge lines or drive the terminal. Block keeps newlines and
// tabs.
std::string escape_line(std::string_view text);
std::string escape_block(std::string_view text);

// Code points, which is what our texts take in columns (no wide scripts are expected in them).
std::size_t display_width(std::string_view text);
// At most `width` columns; what was cut shows as an ellipsis.
std::string truncate(std::string_view text, std::size_t width);
// "IMPORT_FAILED" → "import failed"
std::string words(std::string_view constant);
// "1.5GiB"
std::string bytes_text(std::uint64_t bytes);
// In lines of at most `width` columns (0: one line), those behind the first below its beginning.
std::string wrapped(const std::string& text, std::size_t indent, int width);
// Every line of the block behind `prefix`; ends with a newline unless the text is empty.
std::string indent(std::string_view block, std::string_view prefix);

// The candidate nearest to `word`, or empty if none is near enough to be meant.
std::string_view closest(std::string_view word, std::span<const std::string_view> candidates);

struct Column {
  enum class Align { Left, Right };
  std::string header;
  Align align = Align::Left;
  bool flexible = false;  // may be cut when the terminal is narrow
  // Above 0: left out when that is not enough, the largest first.
  int spare = 0;
};

struct Cell {
  std::string text;
  Colour colour = Colour::Plain;
};

// Rows under headers, two spaces between columns. Escapes every cell itself.
class Table {
 public:
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}
  void add(std::vector<Cell> row);
  std::string render(const Style& style) const;

 private:
  std::vector<std::size_t> natural_widths() const;
  // The columns that there is room for, and how wide they may be.
  std::vector<std::size_t> choose(const std::vector<std::size_t>& widths, int width) const;
  void fit(const std::vector<std::size_t>& chosen, int width,
           std::vector<std::size_t>& widths) const;
  std::vector<Column> columns_;
  std::vector<std::vector<Cell>> rows_;
};

}  // namespace appd::ctl
