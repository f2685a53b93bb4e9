// Durations: what is read, what is refused, and that both directions agree.
#include "ctl/duration.h"

#include <gtest/gtest.h>

namespace appd::ctl {
namespace {

using std::chrono::milliseconds;

milliseconds parsed(std::string_view text) {
  const Result<milliseconds> result = parse_duration(text);
  EXPECT_TRUE(result) << text;
  return result ? *result : milliseconds(-1);
}

TEST(ParseDuration, ReadsUnits) {
  EXPECT_EQ(parsed("30s"), milliseconds(30'000));
  EXPECT_EQ(parsed("500ms"), milliseconds(500));
  EXPECT_EQ(parsed("1m30s"), milliseconds(90'000));
  EXPECT_EQ(parsed("2h5m1s7ms"), milliseconds(7'501'007));
}

TEST(ParseDuration, TakesAPlainNumberAsSecondsLikeGunicorn) {
  EXPECT_EQ(parsed("30"), milliseconds(30'000));
  EXPECT_EQ(parsed("0"), milliseconds(0));
  EXPECT_EQ(parsed("0.25"), milliseconds(250));
}

TEST(ParseDuration, ReadsDecimalsExactly) {
  EXPECT_EQ(parsed("1.5s"), milliseconds(1'500));
  EXPECT_EQ(parsed(".001s"), milliseconds(1));
  EXPECT_EQ(parsed("0.1m"), milliseconds(6'000));
  EXPECT_EQ(parsed("75.000000000s"), milliseconds(75'000));
}

TEST(ParseDuration, RefusesWhatIsNoDuration) {
  for (const char* text : {"", "s", "30x", "30 s", "-5s", "1m30", "30s1m", "1s1s", "1.s.", ".",
                           "1e3", "0x10", "s30", "30S", "inf"}) {
    EXPECT_FALSE(parse_duration(text)) << text;
  }
}

TEST(ParseDuration, RefusesToRoundAndToOverflow) {
  EXPECT_FALSE(parse_duration("0.0001s"));
  EXPECT_FALSE(parse_duration("0.5ms"));
  EXPECT_FALSE(parse_duration("99999999999999999999999h"));
  EXPECT_FALSE(parse_duration("9223372036854775807s"));
}

TEST(ParseDuration, NamesTheValueInTheError) {
  EXPECT_NE(parse_duration("3x").error().message.find("'3x'"), std::string::npos);
}

TEST(FormatDuration, IsReadBackAsTheSame) {
  for (const std::int64_t value : {0, 1, 500, 999, 1'000, 1'001, 1'500, 60'000, 75'000, 90'500,
                                   3'600'000, 3'661'010, 90'000'000}) {
    EXPECT_EQ(parsed(format_duration(milliseconds(value))), milliseconds(value));
  }
  EXPECT_EQ(format_duration(milliseconds(90'000)), "1m30s");
  EXPECT_EQ(format_duration(milliseconds(90'500)), "1m30.5s");
  EXPECT_EQ(format_duration(milliseconds(500)), "500ms");
}

TEST(ParseSince, TakesAgesAndTimes) {
  EXPECT_EQ(parse_since("10m")->ago, milliseconds(600'000));
  const auto utc = std::chrono::system_clock::from_time_t(1'795'566'667);
  EXPECT_EQ(parse_since("2026-11-25T00:31:07Z")->time, utc);
  EXPECT_EQ(parse_since("2026-11-25 00:31Z")->time, utc - std::chrono::seconds(7));
  EXPECT_FALSE(parse_since("2026-11-25T00:31:07Z")->ago);
  EXPECT_TRUE(parse_since("2026-11-25 00:31:07"));
  EXPECT_TRUE(parse_since("2026-11-25"));
}

TEST(ParseSince, RefusesEverythingElse) {
  for (const char* text : {"", "yesterday", "2026-13-01", "2026-11-25 00:31:07 CET", "-5m", "Z"}) {
    EXPECT_FALSE(parse_since(text)) << text;
  }
}

TEST(FormatAge, ShowsTheTwoLargestUnits) {
  EXPECT_EQ(format_age(std::chrono::seconds(-3)), "0s");
  EXPECT_EQ(format_age(std::chrono::seconds(59)), "59s");
  EXPECT_EQ(format_age(std::chrono::seconds(192)), "3m12s");
  EXPECT_EQ(format_age(std::chrono::seconds(7'500)), "2h05m");
  EXPECT_EQ(format_age(std::chrono::seconds(4 * 86'400 + 3 * 3'600)), "4d03h");
}

TEST(FormatElapsed, ShowsMilliseconds) {
  EXPECT_EQ(format_elapsed(milliseconds(41)), "0.041s");
  EXPECT_EQ(format_elapsed(milliseconds(61'002)), "61.002s");
}

}  // namespace
}  // namespace appd::ctl
