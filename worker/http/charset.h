// Which bytes may stand where in HTTP/1.1 (RFC 9110 §5.5, §5.6.2; RFC 9112 §3).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace appd::http {

enum CharClass : std::uint8_t {
  kToken = 1,       // tchar
  kFieldValue = 2,  // VCHAR, obs-text, SP, HTAB
  kTarget = 4,      // what a request target may hold: VCHAR without '#'
  kHost = 8,        // reg-name
  kAscii = 16,
};

consteval std::array<std::uint8_t, 256> make_char_classes() {
  std::array<std::uint8_t, 256> classes{};
  for (unsigned c = 0; c < 256; ++c) {
    bool alnum = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
    bool visible = c > 0x20 && c < 0x7f;
    std::string_view tchars = "!#$%&'*+-.^_`|~";
    std::string_view hosts = "-._~!$&'()*+,;=%";
    bool is_tchar = alnum;
    bool is_host = alnum;
    for (char t : tchars) is_tchar = is_tchar || c == static_cast<unsigned char>(t);
    for (char h : hosts) is_host = is_host || c == static_cast<unsigned char>(h);
    if (is_tchar) classes[c] |= kToken;
    if (is_host) classes[c] |= kHost;
    if (visible || c == ' ' || c == '\t' || c >= 0x80) classes[c] |= kFieldValue;
    if (visible && c != '#') classes[c] |= kTarget;
    if (c < 0x80) classes[c] |= kAscii;
  }
  return classes;
}
inline constexpr std::array<std::uint8_t, 256> kCharClasses = make_char_classes();

// Every byte is in all of the wanted classes. Four at a time and without a branch for each: what is
// checked is nearly always good.
inline bool all_in(std::string_view text, unsigned wanted) {
  const auto* at = reinterpret_cast<const unsigned char*>(text.data());
  const auto* end = at + text.size();
  unsigned classes = wanted;
  for (; end - at >= 4; at += 4) {
    classes &= kCharClasses[at[0]];
    classes &= kCharClasses[at[1]];
    classes &= kCharClasses[at[2]];
    classes &= kCharClasses[at[3]];
  }
  if (end - at >= 2) {  // not a loop, which the compiler would make vectors of
    classes &= kCharClasses[at[0]];
    classes &= kCharClasses[at[1]];
    at += 2;
  }
  if (at < end) classes &= kCharClasses[*at];
  return classes == wanted;
}

inline bool is_token(std::string_view text) { return !text.empty() && all_in(text, kToken); }

// A control character other than HTAB and what ends lines.
inline bool has_control(std::string_view text) {
  for (char byte : text) {
    auto c = static_cast<unsigned char>(byte);
    if ((c < 0x20 && c != '\t' && c != '\r' && c != '\n') || c == 0x7f) return true;
  }
  return false;
}

inline char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; }

// Setting 0x20 makes a letter small and leaves digits and hyphens as they are.
template <typename Word>
inline bool equals_folded(const char* text, const char* lowered) {
  constexpr auto kFold = static_cast<Word>(0x2020202020202020U);
  Word some;
  Word wanted;
  std::memcpy(&some, text, sizeof(Word));
  std::memcpy(&wanted, lowered, sizeof(Word));
  return static_cast<Word>(some | kFold) == wanted;
}

// `lowered` has small letters, digits and hyphens only; `text` has no control character. Whole
// words at a time, the last one overlapping.
inline bool equals_ignoring_case(std::string_view text, std::string_view lowered) {
  std::size_t size = lowered.size();
  if (text.size() != size) return false;
  auto same = [&]<typename Word>(Word) {
    for (std::size_t at = 0; at + sizeof(Word) < size; at += sizeof(Word)) {
      if (!equals_folded<Word>(text.data() + at, lowered.data() + at)) return false;
    }
    std::size_t last = size - sizeof(Word);
    return equals_folded<Word>(text.data() + last, lowered.data() + last);
  };
  if (size >= sizeof(std::uint64_t)) return same(std::uint64_t{});
  if (size >= sizeof(std::uint32_t)) return same(std::uint32_t{});
  return size == 0 || same(std::uint8_t{});
}

inline std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// One of a comma-separated list's tokens is `lowered` (RFC 9110 §5.6.1).
inline bool has_token(std::string_view list, std::string_view lowered) {
  while (!list.empty()) {
    std::size_t comma = list.find(',');
    if (equals_ignoring_case(trim(list.substr(0, comma)), lowered)) return true;
    if (comma == std::string_view::npos) break;
    list.remove_prefix(comma + 1);
  }
  return false;
}

}  // namespace appd::http
