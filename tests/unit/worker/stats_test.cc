// What a request leaves on the scoreboard.
#include "worker/engine/stats.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

namespace appd::engine {
namespace {

using namespace std::chrono_literals;

class StatsTest : public testing::Test {
 protected:
  Counts after(int status, net::Nanoseconds waited, net::Nanoseconds took) {
    const std::uint8_t place = stats_.begin(1, "GET", "/", {}, {});
    stats_.end(place, status, waited, took, {});
    return read(slot_.counters);
  }
  Scoreboard board_ = Scoreboard::create().value();
  ScoreboardSlot& slot_ = board_.slot(0);
  Stats stats_{slot_};
};

TEST_F(StatsTest, CountsAnswersByStatus) {
  for (int status : {0, 101, 200, 204, 304, 404, 500, 599}) after(status, 0ns, 1us);
  const Counts counts = read(slot_.counters);
  EXPECT_EQ(counts.requests, 8U);
  const std::array<std::uint64_t, 6> expected = {1, 1, 2, 1, 1, 2};
  EXPECT_EQ(by_class(counts), expected);
  EXPECT_EQ(errors(counts), 2U);
  for (std::size_t i = 0; i < kStatuses.size(); ++i) {
    const auto each = {0, 101, 200, 204, 304, 404, 500, 5};
    const bool came = std::find(each.begin(), each.end(), kStatuses[i]) != each.end();
    EXPECT_EQ(counts.answers[i], came ? 1U : 0U) << kStatuses[i];
  }
  EXPECT_EQ(slot_.busy.load(), 0U);
}

TEST_F(StatsTest, ABucketHoldsWhatTookItsBoundAtMost) {
  EXPECT_EQ(after(200, 0ns, 0ns).latency[0], 1U);
  EXPECT_EQ(after(200, 0ns, 1us).latency[0], 2U);
  EXPECT_EQ(after(200, 0ns, 1001ns).latency[1], 1U);
  EXPECT_EQ(after(200, 0ns, 1024us).latency[10], 1U);
  EXPECT_EQ(after(200, 0ns, 1024us + 1ns).latency[11], 1U);
  EXPECT_EQ(after(200, 0ns, 24h).latency[31], 1U);
}

TEST_F(StatsTest, WaitsAreSharedOutByMilliseconds) {
  EXPECT_EQ(after(200, 0ns, 1us).waits[0], 1U);
  EXPECT_EQ(after(200, -1ms, 1us).waits[0], 2U);
  EXPECT_EQ(after(200, 4ms, 1us).waits[2], 1U);
  EXPECT_EQ(after(200, 1h, 1us).waits[15], 1U);
  EXPECT_GE(read(slot_.counters).wait_ns, 3'600'004'000'000U);
}

TEST_F(StatsTest, TheBucketsOfAllRequestsTogetherAreAllRequests) {
  for (int i = 0; i < 1000; ++i) after(200, i * 1ms, i * i * 1us);
  const Counts counts = read(slot_.counters);
  EXPECT_EQ(std::accumulate(std::begin(counts.latency), std::end(counts.latency), 0U), 1000U);
  EXPECT_EQ(std::accumulate(std::begin(counts.waits), std::end(counts.waits), 0U), 1000U);
}

}  // namespace
}  // namespace appd::engine
