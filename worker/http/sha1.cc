// The plain form of RFC 3174 §6.1.
#include "worker/http/sha1.h"

#include <bit>
#include <cstddef>
#include <cstring>
#include <span>

namespace appd::http {
namespace {

constexpr std::size_t kBlock = 64;

using State = std::array<std::uint32_t, 5>;

std::uint32_t round_function(std::size_t t, std::uint32_t b, std::uint32_t c, std::uint32_t d) {
  if (t < 20) return (b & c) | (~b & d);
  if (t < 40 || t >= 60) return b ^ c ^ d;
  return (b & c) | (b & d) | (c & d);
}

void add_block(std::span<const std::uint8_t, kBlock> block, State& state) {
  constexpr std::array<std::uint32_t, 4> kConstants{0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xca62c1d6};
  std::array<std::uint32_t, 80> words;
  for (std::size_t t = 0; t < 16; ++t) {
    words[t] = std::uint32_t{block[4 * t]} << 24 | std::uint32_t{block[4 * t + 1]} << 16 |
               std::uint32_t{block[4 * t + 2]} << 8 | block[4 * t + 3];
  }
  for (std::size_t t = 16; t < words.size(); ++t) {
    words[t] = std::rotl(words[t - 3] ^ words[t - 8] ^ words[t - 14] ^ words[t - 16], 1);
  }
  auto [a, b, c, d, e] = state;
  for (std::size_t t = 0; t < words.size(); ++t) {
    std::uint32_t next =
        std::rotl(a, 5) + round_function(t, b, c, d) + e + words[t] + kConstants[t / 20];
    e = d;
    d = c;
    c = std::rotl(b, 30);
    b = a;
    a = next;
  }
  state = {state[0] + a, state[1] + b, state[2] + c, state[3] + d, state[4] + e};
}

}  // namespace

std::array<std::uint8_t, 20> sha1(std::string_view message) {
  State state{0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
  std::array<std::uint8_t, kBlock> block;
  std::size_t bits = message.size() * 8;
  for (; message.size() >= kBlock; message.remove_prefix(kBlock)) {
    std::memcpy(block.data(), message.data(), kBlock);
    add_block(block, state);
  }
  // The end: a bit that is set, zeros, and the length in eight bytes.
  block.fill(0);
  if (!message.empty()) std::memcpy(block.data(), message.data(), message.size());
  block[message.size()] = 0x80;
  if (message.size() >= kBlock - 8) {
    add_block(block, state);
    block.fill(0);
  }
  for (std::size_t i = 0; i < 8; ++i) {
    block[kBlock - 1 - i] = static_cast<std::uint8_t>(std::uint64_t{bits} >> 8 * i);
  }
  add_block(block, state);
  std::array<std::uint8_t, 20> digest;
  for (std::size_t i = 0; i < digest.size(); ++i) {
    digest[i] = static_cast<std::uint8_t>(state[i / 4] >> (24 - 8 * (i % 4)));
  }
  return digest;
}

}  // namespace appd::http
