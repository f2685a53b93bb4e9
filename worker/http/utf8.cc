// An automaton whose step is one shift: each byte has a word in which every state finds its
// successor, and a state is the place of its six bits in that word.
#include "worker/http/utf8.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>

namespace appd::http {
namespace {

constexpr std::uint8_t kBroken = 0;  // and stays so: nothing leads out
constexpr std::uint8_t kOneLeft = 12;
constexpr std::uint8_t kTwoLeft = 18;
constexpr std::uint8_t kThreeLeft = 24;
// After these the next byte's range is smaller: overlong forms, surrogates, beyond U+10FFFF.
constexpr std::uint8_t kAfterE0 = 30;
constexpr std::uint8_t kAfterEd = 36;
constexpr std::uint8_t kAfterF0 = 42;
constexpr std::uint8_t kAfterF4 = 48;

consteval std::array<std::uint64_t, 256> make_steps() {
  std::array<std::uint64_t, 256> steps{};
  auto lead = [&](unsigned first, unsigned last, std::uint8_t from, std::uint8_t to) {
    for (unsigned c = first; c <= last; ++c) steps[c] |= std::uint64_t{to} << from;
  };
  constexpr std::uint8_t kStart = Utf8Check::kStart;
  lead(0x00, 0x7f, kStart, kStart);
  lead(0xc2, 0xdf, kStart, kOneLeft);
  lead(0xe0, 0xe0, kStart, kAfterE0);
  lead(0xe1, 0xec, kStart, kTwoLeft);
  lead(0xed, 0xed, kStart, kAfterEd);
  lead(0xee, 0xef, kStart, kTwoLeft);
  lead(0xf0, 0xf0, kStart, kAfterF0);
  lead(0xf1, 0xf3, kStart, kThreeLeft);
  lead(0xf4, 0xf4, kStart, kAfterF4);
  lead(0x80, 0xbf, kOneLeft, kStart);
  lead(0x80, 0xbf, kTwoLeft, kOneLeft);
  lead(0x80, 0xbf, kThreeLeft, kTwoLeft);
  lead(0xa0, 0xbf, kAfterE0, kOneLeft);
  lead(0x80, 0x9f, kAfterEd, kOneLeft);
  lead(0x90, 0xbf, kAfterF0, kTwoLeft);
  lead(0x80, 0x8f, kAfterF4, kTwoLeft);
  return steps;
}
constexpr std::array<std::uint64_t, 256> kSteps = make_steps();

template <std::size_t Words>
bool has_high_bit(const unsigned char* at) {
  std::array<std::uint64_t, Words> words;
  std::memcpy(words.data(), at, sizeof(words));
  std::uint64_t all = 0;
  for (std::uint64_t word : words) all |= word;
  return (all & 0x8080808080808080U) != 0;
}

// Goes over ASCII in steps of whole words; stops somewhere before what is not.
const unsigned char* skip_ascii(const unsigned char* at, const unsigned char* end) {
  while (end - at >= 32 && !has_high_bit<4>(at)) at += 32;
  while (end - at >= 8 && !has_high_bit<1>(at)) at += 8;
  return at;
}

}  // namespace

bool Utf8Check::take(std::string_view bytes) {
  constexpr std::ptrdiff_t kRun = 32;  // of the automaton, before ASCII is looked for again
  const auto* at = reinterpret_cast<const unsigned char*>(bytes.data());
  const auto* end = at + bytes.size();
  std::uint64_t state = state_;
  while (at < end && state != kBroken) {
    if (state == kStart) at = skip_ascii(at, end);
    const auto* stop = at + std::min(kRun, end - at);
    for (; at < stop; ++at) state = kSteps[*at] >> state & 63;
  }
  state_ = static_cast<std::uint8_t>(state);
  return state != kBroken;
}

}  // namespace appd::http
