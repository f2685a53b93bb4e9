// Tokens are the list's letter and the key, in hexadecimal: opaque, and safe in any shell.
#include "supervisor/api/pagination.h"

#include <optional>

namespace appd::api {
namespace {

constexpr std::size_t kDefaultSize = 100;
constexpr std::size_t kLargestSize = 1000;
constexpr char kHex[] = "0123456789abcdef";

std::optional<int> digit(char c) {
  const std::size_t at = std::string_view(kHex).find(c);
  if (at == std::string_view::npos) return std::nullopt;
  return static_cast<int>(at);
}

}  // namespace

Answer<std::size_t> parse_page_size(std::int32_t page_size) {
  if (page_size < 0) {
    return request_invalid("page_size",
                           "must be 0 (for 100) or more, but got " + std::to_string(page_size));
  }
  if (page_size == 0) return kDefaultSize;
  return std::min(static_cast<std::size_t>(page_size), kLargestSize);
}

std::string make_page_token(ListKind kind, std::string_view key) {
  std::string bytes(1, static_cast<char>(kind));
  bytes += key;
  std::string token;
  for (const char c : bytes) {
    token += kHex[static_cast<unsigned char>(c) >> 4];
    token += kHex[static_cast<unsigned char>(c) & 15];
  }
  return token;
}

Answer<std::string> parse_page_token(ListKind kind, std::string_view token) {
  if (token.empty()) return std::string();
  std::string bytes;
  for (std::size_t i = 0; i + 1 < token.size(); i += 2) {
    const auto high = digit(token[i]);
    const auto low = digit(token[i + 1]);
    if (!high || !low) break;
    bytes += static_cast<char>(*high << 4 | *low);
  }
  if (bytes.size() * 2 != token.size() || bytes.size() < 2 ||
      bytes.front() != static_cast<char>(kind)) {
    return request_invalid("page_token", "is none that this list has given: begin without one");
  }
  return bytes.substr(1);
}

}  // namespace appd::api
