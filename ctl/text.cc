// Text for a terminal. What appd sends was partly written by strangers (paths, tracebacks, exit
// reasons), so nothing reaches the terminal without escape_line() or escape_block().
#include "ctl/text.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdio>
#include <numeric>

namespace appd::ctl {
namespace {

constexpr std::string_view kEllipsis = "…";
constexpr std::size_t kNarrowest = 8;  // a flexible column is never cut below this
constexpr std::size_t kReadable = 16;  // for less of one, others are left out

bool continuation(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

// Length of the UTF-8 sequence at the front; 1 for a byte that begins none.
std::size_t sequence(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text[0]);
  const std::size_t length = lead < 0xC2   ? 1
                             : lead < 0xE0 ? 2
                             : lead < 0xF0 ? 3
                             : lead < 0xF5 ? 4
                                           : 1;
  if (length > text.size()) return 1;
  for (char c : text.substr(1, length - 1)) {
    if (!continuation(c)) return 1;
  }
  return length;
}

char32_t decode(std::string_view bytes) {
  const auto lead = static_cast<unsigned char>(bytes[0]);
  if (bytes.size() == 1) return lead;
  char32_t point = lead & (0x7F >> bytes.size());
  for (char c : bytes.substr(1)) point = point << 6 | (static_cast<unsigned char>(c) & 0x3F);
  return point;
}

bool dangerous(char32_t point) {
  const bool control = point < 0x20 || (point >= 0x7F && point < 0xA0);
  const bool direction =
      (point >= 0x202A && point <= 0x202E) || (point >= 0x2066 && point <= 0x2069);
  const bool line = point == 0x2028 || point == 0x2029;
  return control || direction || line;
}

void append_visible(std::string& out, char32_t point) {
  switch (point) {
    case '\n':
      out += "\\n";
      return;
    case '\r':
      out += "\\r";
      return;
    case '\t':
      out += "\\t";
      return;
    default:
      break;
  }
  std::array<char, 16> text{};
  std::snprintf(text.data(), text.size(), point < 0x100 ? "\\x%02x" : "\\u%04x",
                static_cast<unsigned>(point));
  out += text.data();
}

std::string escape(std::string_view text, bool keep_layout) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const std::string_view bytes = text.substr(0, sequence(text));
    const char32_t point = decode(bytes);
    const bool layout = point == '\n' || point == '\t';
    const bool broken = bytes.size() == 1 && point >= 0x80;
    if (broken || (dangerous(point) && !(keep_layout && layout))) {
      append_visible(out, point);
    } else {
      out += bytes;
    }
    text.remove_prefix(bytes.size());
  }
  return out;
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t substituted = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({substituted, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row.back();
}

std::string pad(const Cell& cell, const Column& column, std::size_t width, bool last,
                const Style& style) {
  const std::string text = truncate(cell.text, width);
  const std::string fill(width - display_width(text), ' ');
  const std::string painted = paint(style, cell.colour, text);
  if (column.align == Column::Align::Right) return fill + painted;
  return last ? painted : painted + fill;
}

}  // namespace

std::string paint(const Style& style, Colour colour, std::string_view text) {
  if (!style.colour || colour == Colour::Plain || text.empty()) return std::string(text);
  const char* code = "";
  switch (colour) {
    case Colour::Plain:
      break;
    case Colour::Dim:
      code = "2";
      break;
    case Colour::Bold:
      code = "1";
      break;
    case Colour::Red:
      code = "31";
      break;
    case Colour::Green:
      code = "32";
      break;
    case Colour::Yellow:
      code = "33";
      break;
  }
  return "\x1b[" + std::string(code) + "m" + std::string(text) + "\x1b[0m";
}

std::string escape_line(std::string_view text) { return escape(text, false); }
std::string escape_block(std::string_view text) { return escape(text, true); }

std::size_t display_width(std::string_view text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return !continuation(c); }));
}

std::string truncate(std::string_view text, std::size_t width) {
  if (display_width(text) <= width) return std::string(text);
  if (width == 0) return "";
  std::string cut;
  for (std::size_t columns = 1; columns < width; ++columns) {
    const std::size_t length = sequence(text);
    cut += text.substr(0, length);
    text.remove_prefix(length);
  }
  return cut + std::string(kEllipsis);
}

std::string words(std::string_view constant) {
  std::string out(constant);
  for (char& c : out) c = c == '_' ? ' ' : static_cast<char>(std::tolower(c));
  return out;
}

std::string bytes_text(std::uint64_t bytes) {
  constexpr std::array<const char*, 4> kUnits{"KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(bytes) / 1024;
  std::size_t unit = 0;
  while (value >= 1024 && unit + 1 < kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), value < 10 ? "%.1f%s" : "%.0f%s", value, kUnits[unit]);
  return text.data();
}

std::string wrapped(const std::string& text, std::size_t indent, int width) {
  const std::size_t room = width > 0 && static_cast<std::size_t>(width) > indent + 20
                               ? static_cast<std::size_t>(width) - indent
                               : std::string::npos;
  std::string out;
  std::string rest = text;
  while (display_width(rest) > room) {
    std::size_t end = rest.rfind(' ', room);
    if (end == std::string::npos || end == 0) end = rest.find(' ', room);
    if (end == std::string::npos) break;
    out += rest.substr(0, end) + "\n" + std::string(indent, ' ');
    rest.erase(0, end + 1);
  }
  return out + rest;
}

std::string indent(std::string_view block, std::string_view prefix) {
  std::string out;
  while (!block.empty()) {
    const std::size_t end = std::min(block.find('\n'), block.size());
    out += prefix;
    out += block.substr(0, end);
    out += '\n';
    block.remove_prefix(std::min(end + 1, block.size()));
  }
  return out;
}

std::string_view closest(std::string_view word, std::span<const std::string_view> candidates) {
  std::string_view best;
  // Two of five letters may be wrong, which covers two letters in the wrong order.
  std::size_t best_distance = std::max<std::size_t>(word.size() * 2 / 5, 1) + 1;
  for (std::string_view candidate : candidates) {
    const std::size_t distance = edit_distance(word, candidate);
    if (distance < best_distance) best = candidate, best_distance = distance;
  }
  return best;
}

void Table::add(std::vector<Cell> row) {
  for (Cell& cell : row) cell.text = escape_line(cell.text);
  row.resize(columns_.size());
  rows_.push_back(std::move(row));
}

std::vector<std::size_t> Table::natural_widths() const {
  std::vector<std::size_t> widths;
  for (const Column& column : columns_) widths.push_back(display_width(column.header));
  for (const auto& row : rows_) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      widths[i] = std::max(widths[i], display_width(row[i].text));
    }
  }
  return widths;
}

std::vector<std::size_t> Table::choose(const std::vector<std::size_t>& widths, int width) const {
  std::vector<std::size_t> chosen(columns_.size());
  std::iota(chosen.begin(), chosen.end(), std::size_t{0});
  const auto needed = [&] {
    std::size_t sum = 2 * (chosen.size() - 1);
    for (const std::size_t i : chosen) {
      sum += columns_[i].flexible ? std::min(widths[i], kReadable) : widths[i];
    }
    return sum;
  };
  while (width > 0 && !chosen.empty() && needed() > static_cast<std::size_t>(width)) {
    const auto least = std::max_element(chosen.begin(), chosen.end(), [this](auto a, auto b) {
      return columns_[a].spare < columns_[b].spare;
    });
    if (columns_[*least].spare == 0) break;
    chosen.erase(least);
  }
  return chosen;
}

// The widest flexible column gives way first, one column at a time.
void Table::fit(const std::vector<std::size_t>& chosen, int width,
                std::vector<std::size_t>& widths) const {
  if (width <= 0 || chosen.empty()) return;
  std::size_t total = 2 * (chosen.size() - 1);
  for (const std::size_t i : chosen) total += widths[i];
  while (total > static_cast<std::size_t>(width)) {
    std::size_t* widest = nullptr;
    for (const std::size_t i : chosen) {
      if (!columns_[i].flexible || widths[i] <= kNarrowest) continue;
      if (widest == nullptr || widths[i] > *widest) widest = &widths[i];
    }
    if (widest == nullptr) break;
    --*widest, --total;
  }
}

std::string Table::render(const Style& style) const {
  std::vector<std::size_t> widths = natural_widths();
  const std::vector<std::size_t> chosen = choose(widths, style.width);
  fit(chosen, style.width, widths);
  std::string out;
  const auto append_row = [&](const std::vector<Cell>& row) {
    std::string line;
    for (const std::size_t i : chosen) {
      if (i != chosen.front()) line += "  ";
      line += pad(row[i], columns_[i], widths[i], i == chosen.back(), style);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  };
  std::vector<Cell> headers;
  for (const Column& column : columns_) headers.push_back({column.header, Colour::Bold});
  append_row(headers);
  for (const auto& row : rows_) append_row(row);
  return out;
}

}  // namespace appd::ctl
