// What lines tell of themselves, and lines out of bytes.
#include "supervisor/core/log_lines.h"

#include <gtest/gtest.h>

namespace appd::core {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// 2026-11-25T00:31:07Z
const model::WallTime kTime{seconds(1'795'566'667)};

TEST(AppLine, TellsTimeRolloutAndWorker) {
  const std::string_view line = "2026-11-25T00:31:07.123Z 7/3 text of mine";
  const LineOrigin origin = app_line(line);
  EXPECT_EQ(origin.time, kTime + milliseconds(123));
  EXPECT_EQ(origin.rollout, 7);
  EXPECT_EQ(origin.worker, 3);
  EXPECT_EQ(line.substr(origin.prefix), "text of mine");
}

TEST(AppLine, TheZygoteIsNoWorker) {
  const LineOrigin origin = app_line("2026-11-25T00:31:07.123Z 12/- text");
  EXPECT_EQ(origin.rollout, 12);
  EXPECT_EQ(origin.worker, 0);
  EXPECT_TRUE(origin.time);
}

TEST(AppLine, WhatHasNoPrefixIsAllText) {
  for (std::string_view line :
       {"", "text", "2026-11-25", "2026-11-25T00:31:07.123Z ", "2026-11-25T00:31:07.123Z 7/3",
        "2026-11-25T00:31:07.123Z 7 text", "2026-11-25T00:31:07.123Z 7/x text",
        "2026-11-25T00:31:07.123Z 7/ text", "2026-11-25T00:31:07.123Z /3 text",
        "2026-11-25T00:31:07,123Z 7/3 text",
        "2026-11-25T00:31:07.123Z 99999999999999999999999/3 text"}) {
    const LineOrigin origin = app_line(line);
    EXPECT_FALSE(origin.time) << line;
    EXPECT_EQ(origin.prefix, 0U) << line;
  }
}

TEST(AccessLine, KnowsTheTimeOfTheUsualFormats) {
  EXPECT_EQ(access_line("::1 - - [25/Nov/2026:01:31:07 +0100] \"GET / HTTP/1.1\" 200 5").time,
            kTime);
  EXPECT_EQ(access_line("::1 - - [24/Nov/2026:19:01:07 -0530] \"GET").time, kTime);
  EXPECT_EQ(access_line(R"({"time":"2026-11-25T01:31:07+0100","status":200})").time, kTime);
}

TEST(AccessLine, AnotherFormatHasNoTime) {
  for (std::string_view line :
       {"", "[", "GET / 200", "[25/Nov/2026]", "[25/Nix/2026:01:31:07 +0100]", R"({"time":"now"})",
        R"({"time":"2026-11-25T01:31:07"})", "[25/ovN/2026:01:31:07 +0100]"}) {
    EXPECT_FALSE(access_line(line).time) << line;
  }
}

TEST(ValidUtf8, KeepsWhatIsAndReplacesWhatIsNot) {
  EXPECT_EQ(valid_utf8("gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80"),
            "gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80");
  const std::string instead = "\xef\xbf\xbd";
  EXPECT_EQ(valid_utf8("a\xff\x62"), "a" + instead + "b");
  EXPECT_EQ(valid_utf8("\xc3"), instead) << "cut off";
  EXPECT_EQ(valid_utf8("\xc0\xaf"), instead + instead) << "overlong";
  EXPECT_EQ(valid_utf8("\xed\xa0\x80"), instead + instead + instead) << "a surrogate";
  EXPECT_EQ(valid_utf8(std::string("\0", 1)), std::string("\0", 1));
}

// Lines as "text@end", with "+" for one that was cut.
std::string split(std::initializer_list<std::string_view> pieces) {
  LineSplitter splitter;
  std::string out;
  for (std::string_view piece : pieces) {
    splitter.feed(piece, [&](std::string_view line, bool truncated, std::size_t end) {
      out.append(line).append(truncated ? "+" : "").append("@") += std::to_string(end) + " ";
    });
  }
  return out;
}

TEST(LineSplitter, GivesWholeLinesAndTheirEnds) {
  EXPECT_EQ(split({"a\nbc\n"}), "a@2 bc@5 ");
  EXPECT_EQ(split({"a", "b\n", "\nc"}), "ab@2 @1 ");
  EXPECT_EQ(split({"no end"}), "");
}

TEST(LineSplitter, ALineBeyondTheLimitIsItsBeginning) {
  const std::string most(LineSplitter::kMaxLine, 'x');
  EXPECT_EQ(split({most + "\nb\n"}), most + "@" + std::to_string(most.size() + 1) + " b@" +
                                         std::to_string(most.size() + 3) + " ");
  EXPECT_EQ(split({most + "yz\nb\n"}), most + "+@" + std::to_string(most.size() + 3) + " b@" +
                                           std::to_string(most.size() + 5) + " ");
  EXPECT_EQ(split({most, most, most, "\n", "b\n"}), most + "+@1 b@2 ");
}

TEST(LineSplitter, HoldsWhatHasNotEnded) {
  LineSplitter splitter;
  splitter.feed("half", [](auto, bool, std::size_t) {});
  ASSERT_TRUE(splitter.has_partial());
  bool truncated = true;
  EXPECT_EQ(splitter.take_partial(truncated), "half");
  EXPECT_FALSE(truncated);
  EXPECT_FALSE(splitter.has_partial());
}

}  // namespace
}  // namespace appd::core
