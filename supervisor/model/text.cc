// Escaping and cutting of foreign text for messages.
#include "supervisor/model/text.h"

#include <algorithm>

namespace appd::model {
namespace {

constexpr std::size_t kLongest = 120;

bool is_control(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte < 0x20 || byte == 0x7f;
}

}  // namespace

bool has_control_character(std::string_view value) {
  return std::any_of(value.begin(), value.end(), is_control);
}

std::string in_quotes(std::string_view value) {
  constexpr char kHex[] = "0123456789abcdef";
  std::string out = "\"";
  std::size_t end = std::min(value.size(), kLongest);
  // A UTF-8 character's later bytes are 10xxxxxx: step back to its first.
  while (end < value.size() && end > 0 && (static_cast<unsigned char>(value[end]) & 0xc0) == 0x80) {
    --end;
  }
  for (const char c : value.substr(0, end)) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (is_control(c)) {
      const auto byte = static_cast<unsigned char>(c);
      out += "\\x";
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    } else {
      out += c;
    }
  }
  out += '"';
  if (end < value.size()) out += "… (" + std::to_string(value.size()) + " bytes)";
  return out;
}

}  // namespace appd::model
