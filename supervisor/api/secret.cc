// Randomness from the kernel, the rest from OpenSSL.
#include "supervisor/api/secret.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <sys/random.h>

#include <array>
#include <cstdint>

#include "common/result.h"

namespace appd::api {

std::string new_secret() {
  std::array<std::uint8_t, 32> bits{};
  // Up to 256 bytes come whole, once the kernel has any randomness.
  APPD_CHECK(::getrandom(bits.data(), bits.size(), 0) == static_cast<ssize_t>(bits.size()));
  static constexpr char kDigits[] =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";  // RFC 4648 §5
  std::string secret = "appd_";
  std::uint32_t held = 0;
  int count = 0;
  for (const std::uint8_t byte : bits) {
    held = held << 8 | byte;
    for (count += 8; count >= 6; count -= 6) secret += kDigits[held >> (count - 6) & 63];
  }
  if (count > 0) secret += kDigits[held << (6 - count) & 63];
  return secret;
}

std::string hash_secret(std::string_view secret) {
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest{};
  ::SHA256(reinterpret_cast<const unsigned char*>(secret.data()), secret.size(), digest.data());
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const unsigned char byte : digest) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

bool same_hash(const std::string& a, const std::string& b) {
  return a.size() == b.size() && ::CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace appd::api
