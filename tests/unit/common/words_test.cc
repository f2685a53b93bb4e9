// Command lines taken apart as a shell does it.
#include "common/words.h"

#include <gtest/gtest.h>

namespace appd {
namespace {

using Words = std::vector<std::string>;

Words split(std::string_view text) {
  auto words = split_words(text);
  return words ? words.value() : Words{"error: " + words.error().message};
}

TEST(Words, AreSeparatedByBlanks) {
  EXPECT_EQ(split("celery -A proj\tworker\n"), (Words{"celery", "-A", "proj", "worker"}));
  EXPECT_EQ(split("  "), Words{});
  EXPECT_EQ(split(""), Words{});
}

TEST(Words, SingleQuotesKeepEverything) {
  EXPECT_EQ(split(R"(sh -c 'a && b | "c" \x' '')"), (Words{"sh", "-c", R"(a && b | "c" \x)", ""}));
}

TEST(Words, DoubleQuotesKnowFourEscapes) {
  EXPECT_EQ(split(R"("a \" \\ \$ \` \n" b"c d"e)"), (Words{R"(a " \ $ ` \n)", "bc de"}));
}

TEST(Words, ABackslashQuotesTheNextCharacter) {
  EXPECT_EQ(split(R"(a\ b \' \|)"), (Words{"a b", "'", "|"}));
}

TEST(Words, NothingIsExpanded) {
  EXPECT_EQ(split("echo $HOME ~ *.py #x"), (Words{"echo", "$HOME", "~", "*.py", "#x"}));
}

TEST(Words, WhatIsNotClosedIsNamed) {
  EXPECT_EQ(split("a 'b"), Words{"error: has a ' that is not closed"});
  EXPECT_EQ(split("a \"b'"), Words{"error: has a \" that is not closed"});
  EXPECT_EQ(split("a \\"), Words{"error: ends with a \\ that quotes nothing"});
}

TEST(Words, WhatOnlyAShellCouldObeyIsRefused) {
  for (const char* text : {"a && b", "a|b", "a; b", "a >log", "a 2>&1", "(a)", "a <b"}) {
    EXPECT_NE(split(text).at(0).find("no shell runs it"), std::string::npos) << text;
  }
}

}  // namespace
}  // namespace appd
