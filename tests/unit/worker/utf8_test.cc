// UTF-8 as RFC 3629 §4 has it, whole and in pieces.
#include "worker/http/utf8.h"

#include <gtest/gtest.h>

#include <string>

namespace appd::http {
namespace {

bool is_utf8(std::string_view text) {
  Utf8Check check;
  return check.take(text) && check.complete();
}

// What a decoder written from the table of RFC 3629 §3 says of a number and its shortest form.
std::string encode(std::uint32_t c, int bytes) {
  auto more = [&](int left) { return static_cast<char>(0x80 | (c >> 6 * left & 0x3f)); };
  switch (bytes) {
    case 1:
      return {static_cast<char>(c)};
    case 2:
      return {static_cast<char>(0xc0 | c >> 6), more(0)};
    case 3:
      return {static_cast<char>(0xe0 | c >> 12), more(1), more(0)};
    default:
      return {static_cast<char>(0xf0 | c >> 18), more(2), more(1), more(0)};
  }
}

int shortest(std::uint32_t c) { return c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4; }

TEST(Utf8Check, TakesEveryCharacterInItsShortestFormAndNoOther) {
  for (std::uint32_t c = 0; c < 0x200000; ++c) {
    bool is_character = c <= 0x10ffff && !(c >= 0xd800 && c <= 0xdfff);
    for (int bytes = shortest(c); bytes <= 4; ++bytes) {
      bool wanted = is_character && bytes == shortest(c);
      ASSERT_EQ(is_utf8(encode(c, bytes)), wanted) << std::hex << c << " in " << bytes << " bytes";
    }
  }
}

TEST(Utf8Check, TellsTheFirstByteThatCannotBe) {
  for (const char* bad : {"\x80", "\xc0", "\xc1", "\xf5", "\xff", "\xc2\x7f", "\xc2\xc2",
                          "\xe0\x9f", "\xed\xa0", "\xf0\x8f", "\xf4\x90", "\xe2\x82\x20"}) {
    for (std::size_t before : {0, 1, 7, 8, 9, 31, 32, 33, 70}) {
      Utf8Check check;
      std::string text = std::string(before, 'a') + bad;
      EXPECT_TRUE(check.take(std::string_view(text).substr(0, text.size() - 1)));
      EXPECT_FALSE(check.take(std::string_view(text).substr(text.size() - 1)));
      EXPECT_FALSE(check.take("a")) << "it stays so";
      EXPECT_FALSE(is_utf8(text + std::string(40, 'a')));
    }
  }
}

TEST(Utf8Check, GoesOnBetweenPieces) {
  std::string text = "κόσμε 𝄞 " + std::string(50, 'x') + "日本語";
  for (std::size_t cut = 0; cut <= text.size(); ++cut) {
    Utf8Check check;
    EXPECT_TRUE(check.take(std::string_view(text).substr(0, cut)));
    EXPECT_TRUE(check.take(std::string_view(text).substr(cut)));
    EXPECT_TRUE(check.complete());
  }
}

TEST(Utf8Check, IsNotCompleteInsideACharacter) {
  for (const char* begun : {"\xc3", "\xe2\x82", "\xf0\x9d\x84", "a\xf0"}) {
    Utf8Check check;
    EXPECT_TRUE(check.take(begun));
    EXPECT_FALSE(check.complete()) << begun;
  }
  EXPECT_TRUE(is_utf8(""));
}

}  // namespace
}  // namespace appd::http
