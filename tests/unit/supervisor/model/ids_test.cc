// UUIDs, and how foreign text is shown.
#include "supervisor/model/ids.h"

#include <gtest/gtest.h>

#include <set>

#include "supervisor/model/text.h"

namespace appd::model {
namespace {

TEST(Uuid, NewOnesAreValidVersionFourAndDiffer) {
  std::set<std::string> seen;
  for (int i = 0; i < 200; ++i) {
    const std::string uuid = new_uuid();
    EXPECT_TRUE(valid_uuid(uuid)) << uuid;
    EXPECT_EQ(uuid[14], '4') << uuid;
    EXPECT_NE(std::string("89ab").find(uuid[19]), std::string::npos) << uuid;
    EXPECT_TRUE(seen.insert(uuid).second) << uuid;
  }
}

TEST(Uuid, RejectsWhatIsNone) {
  EXPECT_TRUE(valid_uuid("9F1C3F6E-0D0A-4C5E-8F57-0C9A5A3C1B11"));
  for (const char* text :
       {"", "9f1c3f6e", "9f1c3f6e-0d0a-4c5e-8f57-0c9a5a3c1b1",
        "9f1c3f6e-0d0a-4c5e-8f57-0c9a5a3c1b111", "9f1c3f6e00d0a-4c5e-8f57-0c9a5a3c1b11",
        "9f1c3f6e-0d0a-4c5e-8f57-0c9a5a3c1b1g", "{9f1c3f6e-0d0a-4c5e-8f57-0c9a5a3c1b}"}) {
    EXPECT_FALSE(valid_uuid(text)) << text;
  }
}

TEST(InQuotes, EscapesControlCharactersAndQuotes) {
  EXPECT_EQ(in_quotes("plain é"), "\"plain é\"");
  EXPECT_EQ(in_quotes("a\"b\\c\nd\x1b[0m"), "\"a\\\"b\\\\c\\nd\\x1b[0m\"");
}

TEST(Utf8, ReplacesWhatIsNoneByteByByte) {
  EXPECT_EQ(utf8("plain é 漢 \xf0\x9f\x98\x80"), "plain é 漢 \xf0\x9f\x98\x80");
  EXPECT_EQ(utf8("a\xff"
                 "b"),
            "a?b");
  EXPECT_EQ(utf8("\xc3"), "?") << "cut short";
  EXPECT_EQ(utf8("\xc0\x80"), "??") << "longer than it needs to be";
  EXPECT_EQ(utf8("\xed\xa0\x80"), "???") << "a surrogate";
  EXPECT_EQ(utf8(""), "");
}

TEST(InQuotes, CutsLongTextAtACharacterBoundary) {
  std::string text(119, 'a');
  text += "é and much more";
  const std::string shown = in_quotes(text);
  EXPECT_EQ(shown,
            "\"" + std::string(119, 'a') + "\"… (" + std::to_string(text.size()) + " bytes)");
}

}  // namespace
}  // namespace appd::model
