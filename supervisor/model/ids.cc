// UUIDs from the kernel's random bytes.
#include "supervisor/model/ids.h"

#include <sys/random.h>

#include <array>
#include <cctype>
#include <cerrno>

#include "common/result.h"

namespace appd::model {
namespace {

constexpr std::size_t kUuidLength = 36;

constexpr bool is_dash_position(std::size_t i) { return i == 8 || i == 13 || i == 18 || i == 23; }

}  // namespace

std::string new_uuid() {
  std::array<unsigned char, 16> bytes;
  ssize_t got = -1;
  do {
    got = ::getrandom(bytes.data(), bytes.size(), 0);
  } while (got < 0 && errno == EINTR);
  // getrandom(2): requests of up to 256 bytes are filled completely once the pool is ready.
  APPD_CHECK(got == static_cast<ssize_t>(bytes.size()));
  bytes[6] = static_cast<unsigned char>((bytes[6] & 0x0f) | 0x40);  // RFC 4122 §4.4: version 4
  bytes[8] = static_cast<unsigned char>((bytes[8] & 0x3f) | 0x80);  // and its variant

  constexpr char kHex[] = "0123456789abcdef";
  std::string text;
  text.reserve(kUuidLength);
  for (const unsigned char byte : bytes) {
    if (is_dash_position(text.size())) text += '-';
    text += kHex[byte >> 4];
    text += kHex[byte & 15];
  }
  return text;
}

bool valid_uuid(std::string_view text) {
  if (text.size() != kUuidLength) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool fits = is_dash_position(i) ? text[i] == '-'
                                          : std::isxdigit(static_cast<unsigned char>(text[i])) != 0;
    if (!fits) return false;
  }
  return true;
}

}  // namespace appd::model
