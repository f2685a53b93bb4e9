// Lines, and what must be escaped in them.
#include "supervisor/metrics/exposition.h"

#include <array>
#include <charconv>
#include <cmath>

namespace appd::metrics {
namespace {

// Within a label's value: backslash, quote and newline.
void put_escaped(std::string_view value, std::string& out) {
  for (char c : value) {
    if (c == '\n') {
      out += "\\n";
      continue;
    }
    if (c == '\\' || c == '"') out += '\\';
    out += c;
  }
}

// The shortest text that is read as the same number.
template <typename Number>
std::string_view text_of(Number number, std::array<char, 32>& text) {
  const auto end = std::to_chars(text.data(), text.data() + text.size(), number).ptr;
  return {text.data(), static_cast<std::size_t>(end - text.data())};
}

}  // namespace

void Exposition::family(std::string_view name, std::string_view help, std::string_view type) {
  name_ = name;
  text_.append("# HELP ").append(name).append(" ").append(help);
  text_.append("\n# TYPE ").append(name).append(" ").append(type).append("\n");
}

void Exposition::put_labels(std::string_view suffix, std::span<const Label> labels) {
  text_.append(name_).append(suffix);
  char before = '{';
  for (const Label& label : labels) {
    text_ += before;
    text_.append(label.first).append("=\"");
    put_escaped(label.second, text_);
    text_ += '"';
    before = ',';
  }
  if (!labels.empty()) text_ += '}';
  text_ += ' ';
}

void Exposition::sample(std::initializer_list<Label> labels, std::int64_t value) {
  put_labels("", labels);
  std::array<char, 32> text;
  text_.append(text_of(value, text)).append("\n");
}

void Exposition::sample(std::initializer_list<Label> labels, std::uint64_t value) {
  put_labels("", labels);
  std::array<char, 32> text;
  text_.append(text_of(value, text)).append("\n");
}

void Exposition::sample(std::initializer_list<Label> labels, double value) {
  put_labels("", labels);
  put_value(value);
}

void Exposition::put_value(double value) {
  std::array<char, 32> text;
  text_.append(text_of(value, text)).append("\n");
}

void Exposition::samples(Label label, std::span<const std::uint64_t> buckets, double unit,
                         std::size_t first, double sum) {
  std::uint64_t count = 0;
  for (std::size_t i = 0; i < buckets.size(); ++i) {
    count += buckets[i];
    const bool last = i + 1 == buckets.size();
    if (i < first && !last) continue;
    std::array<char, 32> bound;
    const std::array labels = {
        label, Label{"le", last ? "+Inf" : text_of(std::ldexp(unit, static_cast<int>(i)), bound)}};
    put_labels("_bucket", labels);
    std::array<char, 32> text;
    text_.append(text_of(count, text)).append("\n");
  }
  put_labels("_sum", {&label, 1});
  put_value(sum);
  put_labels("_count", {&label, 1});
  std::array<char, 32> text;
  text_.append(text_of(count, text)).append("\n");
}

}  // namespace appd::metrics
