// One line at a time.
#include "ctl/doctor/proc.h"

#include <charconv>
#include <fstream>
#include <sstream>

namespace appd::ctl {
namespace {

// What follows `label` at the beginning of a line, without the blanks before it.
std::string_view after(std::string_view text, std::string_view label) {
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    std::string_view line = text.substr(at, end - at);
    at = end + 1;
    if (!line.starts_with(label)) continue;
    line.remove_prefix(label.size());
    line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
    return line;
  }
  return {};
}

std::optional<std::uint64_t> leading_number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code != std::errc()) return std::nullopt;
  return value;
}

}  // namespace

std::string kernel_text(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

std::optional<std::uint64_t> kernel_number(const std::string& path) {
  return leading_number(kernel_text(path));
}

std::optional<std::uint64_t> kibibytes_of(std::string_view text, std::string_view label) {
  const std::optional<std::uint64_t> value = leading_number(after(text, label));
  if (!value) return std::nullopt;
  return *value * 1024;
}

std::optional<std::uint64_t> soft_limit(std::string_view limits, std::string_view label) {
  const std::string_view value = after(limits, label);
  if (value.starts_with("unlimited")) return UINT64_MAX;
  return leading_number(value);
}

}  // namespace appd::ctl
