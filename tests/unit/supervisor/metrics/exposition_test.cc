// The text format, to the letter.
#include "supervisor/metrics/exposition.h"

#include <gtest/gtest.h>

#include <array>

namespace appd::metrics {
namespace {

TEST(Exposition, WritesFamiliesWithTheirSamples) {
  Exposition out;
  out.counter("a_total", "What is counted.");
  out.sample({}, std::int64_t{-3});
  out.sample({{"app", "web"}, {"code", "2xx"}}, std::uint64_t{18'000'000'000'000'000'000U});
  out.gauge("b_seconds", "A time.");
  out.sample({{"app", "web"}}, 0.25);
  EXPECT_EQ(out.take(),
            "# HELP a_total What is counted.\n# TYPE a_total counter\n"
            "a_total -3\n"
            "a_total{app=\"web\",code=\"2xx\"} 18000000000000000000\n"
            "# HELP b_seconds A time.\n# TYPE b_seconds gauge\n"
            "b_seconds{app=\"web\"} 0.25\n");
}

TEST(Exposition, EscapesValuesOfLabels) {
  Exposition out;
  out.gauge("a", "A.");
  out.sample({{"x", "quote\" back\\slash\nline"}}, std::int64_t{1});
  EXPECT_EQ(out.take(),
            "# HELP a A.\n# TYPE a gauge\n"
            "a{x=\"quote\\\" back\\\\slash\\nline\"} 1\n");
}

TEST(Exposition, SumsBucketsUp) {
  Exposition out;
  out.histogram("a_seconds", "A.");
  const std::array<std::uint64_t, 4> buckets = {1, 2, 3, 4};
  out.samples({"app", "web"}, buckets, 0.5, 1, 7.5);
  EXPECT_EQ(out.take(),
            "# HELP a_seconds A.\n# TYPE a_seconds histogram\n"
            "a_seconds_bucket{app=\"web\",le=\"1\"} 3\n"
            "a_seconds_bucket{app=\"web\",le=\"2\"} 6\n"
            "a_seconds_bucket{app=\"web\",le=\"+Inf\"} 10\n"
            "a_seconds_sum{app=\"web\"} 7.5\n"
            "a_seconds_count{app=\"web\"} 10\n");
}

}  // namespace
}  // namespace appd::metrics
