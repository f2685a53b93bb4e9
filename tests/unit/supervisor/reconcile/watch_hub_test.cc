// Watching: nothing is lost, nothing is queued, and who is too slow is told.
#include "supervisor/reconcile/watch_hub.h"

#include <gtest/gtest.h>

namespace appd::reconcile {
namespace {

model::Event note(const std::string& app, const std::string& text) {
  return {0, {}, app, model::Note{text}};
}

TEST(WatchHub, GivesEventsInOrderWithoutGaps) {
  auto hub = std::make_shared<WatchHub>(100);
  auto cursor = hub->subscribe(101, {}, [] {});
  ASSERT_TRUE(cursor);
  for (int i = 0; i < 3; ++i) hub->publish(note("web", std::to_string(i)));
  auto events = (*cursor)->next(10);
  ASSERT_TRUE(events);
  ASSERT_EQ(events->size(), 3U);
  EXPECT_EQ((*events)[0]->revision, 101);
  EXPECT_EQ((*events)[2]->revision, 103);
}

TEST(WatchHub, WakesAWaitingWatcherOnce) {
  auto hub = std::make_shared<WatchHub>(0);
  int woken = 0;
  auto cursor = hub->subscribe(1, {}, [&] { ++woken; });
  ASSERT_TRUE(cursor);
  ASSERT_TRUE((*cursor)->next(10));
  hub->publish(note("web", "a"));
  hub->publish(note("web", "b"));
  EXPECT_EQ(woken, 1);
}

TEST(WatchHub, ShowsOnlyTheAppThatWasAskedFor) {
  auto hub = std::make_shared<WatchHub>(0);
  auto cursor = hub->subscribe(1, {"web"}, [] {});
  ASSERT_TRUE(cursor);
  hub->publish(note("other", "a"));
  hub->publish(note("web", "b"));
  auto events = (*cursor)->next(10);
  ASSERT_EQ(events->size(), 1U);
  EXPECT_EQ((*events)[0]->app, "web");
}

TEST(WatchHub, WhoMaySeeSomeAppsIsShownThoseAndToldHowFarTheOthersAre) {
  auto hub = std::make_shared<WatchHub>(0);
  auto cursor = hub->subscribe(1, {"", {"web", "api"}}, [] {});
  ASSERT_TRUE(cursor);
  hub->publish(note("other", "a"));
  hub->publish(note("api", "b"));
  auto events = (*cursor)->next(10);
  ASSERT_EQ(events->size(), 1U);
  EXPECT_EQ((*events)[0]->app, "api");
  for (std::int64_t i = 0; i < WatchHub::kProgressEvery; ++i) hub->publish(note("other", "x"));
  events = (*cursor)->next(10);
  ASSERT_EQ(events->size(), 1U);
  EXPECT_TRUE(std::holds_alternative<model::Progress>((*events)[0]->what));
}

TEST(WatchHub, TellsAWatcherOfOneAppHowFarTheOthersAre) {
  auto hub = std::make_shared<WatchHub>(0);
  auto cursor = hub->subscribe(1, {"web"}, [] {});
  ASSERT_TRUE(cursor);
  for (std::int64_t i = 1; i < WatchHub::kProgressEvery; ++i) hub->publish(note("other", "x"));
  EXPECT_TRUE((*cursor)->next(10)->empty());
  hub->publish(note("other", "x"));
  auto events = (*cursor)->next(10);
  ASSERT_EQ(events->size(), 1U);
  EXPECT_TRUE(std::holds_alternative<model::Progress>((*events)[0]->what));
  EXPECT_EQ((*events)[0]->revision, WatchHub::kProgressEvery);
  EXPECT_TRUE((*cursor)->next(10)->empty());
  hub->publish(note("web", "a"));
  EXPECT_EQ((*cursor)->next(10)->front()->revision, WatchHub::kProgressEvery + 1);
}

TEST(WatchHub, ResumesFromARevisionThatIsStillKept) {
  auto hub = std::make_shared<WatchHub>(0);
  for (int i = 0; i < 5; ++i) hub->publish(note("web", std::to_string(i)));
  auto cursor = hub->subscribe(4, {}, [] {});
  ASSERT_TRUE(cursor);
  EXPECT_EQ((*cursor)->next(10)->size(), 2U);
}

TEST(WatchHub, SlowReaderIsEndedAndMemoryStaysBounded) {
  auto hub = std::make_shared<WatchHub>(0);
  auto cursor = hub->subscribe(1, {}, [] {});
  ASSERT_TRUE(cursor);
  for (std::size_t i = 0; i < WatchHub::kKept + 1; ++i) hub->publish(note("web", "x"));
  auto events = (*cursor)->next(10);
  ASSERT_FALSE(events);
  EXPECT_EQ(events.error().reason, "REVISION_COMPACTED");
  EXPECT_EQ(hub->oldest_revision(), 2);
}

TEST(WatchHub, RefusesARevisionOfAnEarlierAppd) {
  auto hub = std::make_shared<WatchHub>(5000);
  EXPECT_FALSE(hub->subscribe(4000, {}, [] {}));
  EXPECT_TRUE(hub->subscribe(5001, {}, [] {}));
}

TEST(WatchHub, RefusesARevisionOfAnEarlierAppdWhoseClockWasAhead) {
  auto hub = std::make_shared<WatchHub>(5000);
  hub->publish(note("web", "a"));
  EXPECT_TRUE(hub->subscribe(5002, {}, [] {}));
  auto future = hub->subscribe(9000, {}, [] {});
  ASSERT_FALSE(future);
  EXPECT_EQ(future.error().reason, "REVISION_COMPACTED");
}

}  // namespace
}  // namespace appd::reconcile
