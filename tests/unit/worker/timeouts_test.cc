// Deadlines by a hand-turned clock.
#include "worker/engine/timeouts.h"

#include <gtest/gtest.h>

namespace appd::engine {
namespace {

using std::chrono::seconds;

net::TimePoint at(int second) { return net::TimePoint(seconds(second)); }

message::Settings settings() {
  message::Settings made;
  made.client_header_timeout_ms = 10'000;
  made.keepalive_ms = 60'000;
  return made;
}

TEST(Timeouts, AreInfiniteWhenNobodyWaits) {
  Timeouts timeouts;
  timeouts.apply(settings());
  EXPECT_EQ(timeouts.earliest(), net::kNever);
  EXPECT_EQ(timeouts.take_due(at(1'000'000)), nullptr);
}

TEST(Timeouts, TakeTheOldestFirst) {
  Timeouts timeouts;
  timeouts.apply(settings());
  Waiter first;
  Waiter second;
  timeouts.arm(first, WaitKind::Head, at(0));
  timeouts.arm(second, WaitKind::Head, at(1));
  EXPECT_EQ(timeouts.earliest(), at(10));
  EXPECT_EQ(timeouts.take_due(at(9)), nullptr);
  EXPECT_EQ(timeouts.take_due(at(10)), &first);
  EXPECT_EQ(timeouts.take_due(at(10)), nullptr);
  EXPECT_EQ(timeouts.earliest(), at(11));
}

TEST(Timeouts, AWaiterIsInOneListOnly) {
  Timeouts timeouts;
  timeouts.apply(settings());
  Waiter waiter;
  timeouts.arm(waiter, WaitKind::Head, at(0));
  timeouts.arm(waiter, WaitKind::KeepAlive, at(5));
  EXPECT_EQ(timeouts.earliest(), at(65));
  EXPECT_TRUE(waiter.waiting_for(WaitKind::KeepAlive));
  timeouts.disarm(waiter);
  EXPECT_EQ(timeouts.earliest(), net::kNever);
}

TEST(Timeouts, FollowChangedSettings) {
  Timeouts timeouts;
  timeouts.apply(settings());
  Waiter waiter;
  timeouts.arm(waiter, WaitKind::Head, at(0));
  message::Settings changed = settings();
  changed.client_header_timeout_ms = 3'000;
  timeouts.apply(changed);
  EXPECT_EQ(timeouts.earliest(), at(3));
  changed.client_header_timeout_ms = 0;
  timeouts.apply(changed);
  EXPECT_EQ(timeouts.earliest(), net::kNever);
}

TEST(Timeouts, DrainingShortensOnlyIdleAndSilentConnections) {
  Timeouts timeouts;
  timeouts.apply(settings());
  Waiter idle;
  Waiter fresh;
  Waiter head;
  timeouts.arm(idle, WaitKind::KeepAlive, at(100));
  timeouts.arm(fresh, WaitKind::Fresh, at(100));
  timeouts.arm(head, WaitKind::Head, at(100));
  timeouts.drain(at(100));
  EXPECT_EQ(timeouts.take_due(at(101)), &idle);
  EXPECT_EQ(timeouts.take_due(at(101)), nullptr);
  EXPECT_EQ(timeouts.take_due(at(103)), &fresh);
  EXPECT_EQ(timeouts.take_due(at(109)), nullptr);
  EXPECT_EQ(timeouts.take_due(at(110)), &head);
}

TEST(Timeouts, ForgetAWaiterThatGoesAway) {
  Timeouts timeouts;
  timeouts.apply(settings());
  {
    Waiter waiter;
    timeouts.arm(waiter, WaitKind::Head, at(0));
  }
  EXPECT_EQ(timeouts.take_due(at(100)), nullptr);
}

}  // namespace
}  // namespace appd::engine
