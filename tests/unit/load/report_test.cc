// The load client's arithmetic and its JSON.
#include "tests/load/report.h"

#include <gtest/gtest.h>

namespace appd::load {
namespace {

using std::chrono::microseconds;

TEST(Histogram, QuantilesAreWithinOneClassOfTheTruth) {
  Histogram histogram;
  for (int i = 1; i <= 100'000; ++i) histogram.add(microseconds(i));
  for (double part : {0.5, 0.9, 0.99, 0.999}) {
    auto value = static_cast<double>(histogram.quantile(part).count());
    EXPECT_NEAR(value, part * 100'000, part * 100'000 / 16) << part;
  }
  EXPECT_EQ(histogram.max().count(), 100'000);
  EXPECT_EQ(histogram.quantile(1).count(), 100'000);
}

TEST(Histogram, SmallValuesAreExact) {
  Histogram histogram;
  for (int i = 0; i < 10; ++i) histogram.add(microseconds(i));
  EXPECT_EQ(histogram.quantile(0.5).count(), 5);
}

TEST(Histogram, EmptyOneAnswersZero) { EXPECT_EQ(Histogram().quantile(0.99).count(), 0); }

TEST(Report, JsonNamesFailuresByKindAndEscapesWhatServersSay) {
  Report report;
  report.ok = 3;
  report.fail({4, Failure::Status, "500 \"oops\"\n", microseconds(1500)});
  report.fail({5, Failure::Reset, "Connection reset by peer", microseconds(1600), "4711"});
  EXPECT_EQ(report.failed(), 2U);
  std::string json = report.json();
  EXPECT_NE(json.find("\"ok\": 3, \"failed\": 2, \"failures\": {\"reset\": 1, \"status\": 1}"),
            std::string::npos)
      << json;
  EXPECT_NE(json.find("\"peer\": \"4711\""), std::string::npos) << json;
  EXPECT_NE(json.find("500 \\\"oops\\\"\\u000a"), std::string::npos) << json;
}

TEST(Report, KeepsOnlyTheFirstExamples) {
  Report report;
  for (std::uint64_t i = 0; i < 1000; ++i) report.fail({i, Failure::Refused, "", microseconds(1)});
  EXPECT_EQ(report.failed(), 1000U);
  EXPECT_EQ(report.examples.size(), 10U);
  report.most_examples = 11;
  report.fail({1000, Failure::Refused, "", microseconds(1)});
  EXPECT_EQ(report.examples.back().number, 1000U);
}

}  // namespace
}  // namespace appd::load
