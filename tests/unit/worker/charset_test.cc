// Classes of characters, and comparing words of the protocol.
#include "worker/http/charset.h"

#include <gtest/gtest.h>

#include <string>

namespace appd::http {
namespace {

TEST(Charset, ComparesWordsOfEveryLengthIgnoringCase) {
  for (std::string lowered :
       {"", "a", "te", "age", "host", "x-foo", "cookie", "trailer", "location", "keep-alive",
        "content-type", "content-length", "proxy-connection", "transfer-encoding"}) {
    std::string upper = lowered;
    for (char& c : upper) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 0x20) : c;
    EXPECT_TRUE(equals_ignoring_case(lowered, lowered));
    EXPECT_TRUE(equals_ignoring_case(upper, lowered));
    EXPECT_FALSE(equals_ignoring_case(upper + "s", lowered));
    for (std::size_t i = 0; i < upper.size(); ++i) {
      std::string other = upper;
      other[i] = 'Q';
      EXPECT_FALSE(equals_ignoring_case(other, lowered)) << other;
    }
  }
}

TEST(Charset, AnUnderscoreIsNoHyphen) {
  EXPECT_FALSE(equals_ignoring_case("content_length", "content-length"));
}

TEST(Charset, AllInNeedsEveryClassOfEveryByte) {
  for (std::size_t at = 0; at < 9; ++at) {
    std::string text(9, 'a');
    EXPECT_TRUE(all_in(text, kToken | kAscii));
    text[at] = '\xe4';
    EXPECT_TRUE(all_in(text, kFieldValue)) << at;
    EXPECT_FALSE(all_in(text, kFieldValue | kAscii)) << at;
    EXPECT_FALSE(all_in(text, kToken)) << at;
  }
}

}  // namespace
}  // namespace appd::http
