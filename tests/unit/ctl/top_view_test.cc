// top: what is shown of figures, and what keys do.
#include <gtest/gtest.h>

#include "ctl/top/view.h"

namespace appd::ctl {
namespace {

v1::AppStats app(const std::string& id, std::int32_t workers, double rate) {
  v1::AppStats stats;
  stats.set_name("apps/" + id);
  stats.set_state(v1::AppObserved::ACTIVE);
  stats.set_worker_class("sync");
  stats.set_wanted_workers(workers);
  stats.set_ready_workers(workers);
  stats.mutable_traffic()->set_requests_per_second(rate);
  stats.mutable_traffic()->mutable_p99()->set_nanos(41'000'000);
  stats.set_cpu(1.5);
  stats.set_memory(std::int64_t{300} << 20);
  stats.set_unexpected_exits(2);
  stats.set_recycled_workers(1);
  return stats;
}

v1::WatchStatsResponse figures(std::initializer_list<v1::AppStats> apps) {
  v1::WatchStatsResponse stats;
  stats.mutable_over()->set_seconds(1);
  for (const v1::AppStats& each : apps) {
    *stats.add_apps() = each;
    for (int i = 1; i <= each.ready_workers(); ++i) {
      v1::WorkerStats& worker = *stats.add_workers();
      worker.set_name(each.name() + "/workers/" + std::to_string(i));
      worker.set_pid(4000 + i);
      worker.set_state(v1::Worker::READY);
      worker.set_worker_class("sync");
      worker.set_threads(4);
    }
  }
  return stats;
}

std::string text_of(const std::vector<TopLine>& lines) {
  std::string text;
  for (const TopLine& line : lines) text += line.text + "\n";
  return text;
}

TopView view_of(std::initializer_list<v1::AppStats> apps) {
  TopView view("unix:/run/x");
  view.take(figures(apps));
  return view;
}

std::string chosen(const TopView& view) {
  for (const TopLine& line : view.screen(200, 20)) {
    if (line.selected)
      return line.text.substr(0, line.text.find("  ", line.text.find_first_not_of(' ')));
  }
  return "";
}

TEST(TopView, ShowsSumsAndEachApp) {
  const TopView view = view_of({app("api", 2, 1234), app("web", 1, 0.5)});
  EXPECT_EQ(text_of(view.table(0)),
            "2 apps, 3 workers, 0 busy  1234 req/s  cpu 300%  memory 600MiB  unix:/run/x\n"
            "APP  STATE   CLASS  WORKERS  THREADS  BUSY  QUEUE  REQ/S  ERR/S  P50   P99   CPU  "
            "MEMORY  RESTARTS\n"
            "api  active  sync       2/2        4     0      -   1234      0    -  41ms  150%  "
            "300MiB         3\n"
            "web  active  sync       1/1        4     0      -    0.5      0    -  41ms  150%  "
            "300MiB         3\n");
}

TEST(TopView, ANarrowTerminalLosesTheLeastImportantColumnsFirst) {
  const TopView view = view_of({app("a-rather-long-name-of-an-app", 2, 1234)});
  for (int width : {120, 80, 60, 40, 20, 5, 1}) {
    for (const TopLine& line : view.screen(width, 10)) {
      EXPECT_LE(display_width(line.text), static_cast<std::size_t>(width)) << line.text;
    }
  }
  const std::string eighty = text_of(view.table(80));
  EXPECT_EQ(eighty.find("THREADS"), std::string::npos);
  EXPECT_NE(eighty.find("WORKERS"), std::string::npos);
  EXPECT_NE(eighty.find("REQ/S"), std::string::npos);
}

TEST(TopView, HasAsManyLinesAsTheTerminal) {
  TopView view("x");
  for (int height : {1, 2, 3, 5, 50}) {
    EXPECT_EQ(view.screen(80, height).size(), static_cast<std::size_t>(height));
  }
  view.take(figures({app("a", 30, 1), app("b", 30, 1)}));
  view.press(TopKey::Workers);
  for (int height : {1, 2, 3, 5, 50}) {
    EXPECT_EQ(view.screen(80, height).size(), static_cast<std::size_t>(height));
  }
}

TEST(TopView, TheSelectionStaysInSightAndOnItsRow) {
  TopView view = view_of({app("a", 30, 1), app("b", 2, 9)});
  view.press(TopKey::Workers);
  EXPECT_EQ(chosen(view), "a");
  view.press(TopKey::Last);
  EXPECT_EQ(chosen(view), "  2 pid 4002");
  EXPECT_NE(text_of(view.screen(200, 8)).find("  2 pid 4002"), std::string::npos);
  view.press(TopKey::Up);
  view.press(TopKey::Up);
  EXPECT_EQ(chosen(view), "b");
  // The order changes, the selection does not.
  for (int i = 0; i < 2; ++i) view.press(TopKey::Sort);
  EXPECT_EQ(chosen(view), "b");
  view.press(TopKey::Up);
  EXPECT_EQ(chosen(view), "b") << "it is the first now";
  view.take(figures({app("a", 1, 1)}));
  EXPECT_EQ(chosen(view), "a") << "what was selected is gone";
}

TEST(TopView, SortsByTheLargestAndTheOtherWayRound) {
  TopView view = view_of({app("a", 1, 1), app("b", 1, 9), app("c", 1, 5)});
  view.set_sort(TopSort::Rate, false);
  const auto order = [&] {
    std::string names;
    for (const TopLine& line : view.table(0)) names += line.text[0];
    return names.substr(2);
  };
  EXPECT_EQ(order(), "bca");
  view.press(TopKey::Reverse);
  EXPECT_EQ(order(), "acb");
}

TEST(TopView, PlusAndMinusScaleWhatIsSelectedAndAddUp) {
  TopView view = view_of({app("a", 3, 1)});
  ASSERT_TRUE(view.press(TopKey::More));
  auto wish = view.press(TopKey::More);
  ASSERT_TRUE(wish);
  EXPECT_EQ(wish->kind, TopWish::Kind::Scale);
  EXPECT_EQ(wish->app, "a");
  EXPECT_EQ(wish->workers, 5);
  EXPECT_NE(text_of(view.screen(80, 5)).find("a: scaling to 5 workers"), std::string::npos);
  view.take(figures({app("a", 5, 1)}));
  EXPECT_EQ(view.press(TopKey::Fewer)->workers, 4) << "it begins at what is wanted";
  view.forget("a");
  EXPECT_EQ(view.press(TopKey::Fewer)->workers, 4) << "that was refused";
}

TEST(TopView, ThereIsNothingBelowOneWorkerNorOfAStoppedApp) {
  TopView view = view_of({app("a", 1, 1)});
  EXPECT_FALSE(view.press(TopKey::Fewer));
  EXPECT_NE(text_of(view.screen(120, 5)).find("appctl stop a"), std::string::npos);
  v1::AppStats stopped = app("a", 2, 0);
  stopped.set_state(v1::AppObserved::STOPPED);
  view.take(figures({stopped}));
  EXPECT_FALSE(view.press(TopKey::More));
  EXPECT_NE(text_of(view.screen(120, 5)).find("appctl start a"), std::string::npos);
}

TEST(TopView, ReloadsTheAppOfTheSelectedWorker) {
  TopView view = view_of({app("a", 1, 1), app("b", 2, 1)});
  view.press(TopKey::Workers);
  view.press(TopKey::Last);
  const auto wish = view.press(TopKey::Reload);
  ASSERT_TRUE(wish);
  EXPECT_EQ(wish->kind, TopWish::Kind::Reload);
  EXPECT_EQ(wish->app, "b");
}

TEST(TopView, WithoutAppsKeysDoNothing) {
  TopView view("x");
  view.take(figures({}));
  for (TopKey key : {TopKey::More, TopKey::Fewer, TopKey::Reload, TopKey::Up, TopKey::Last,
                     TopKey::Workers, TopKey::Sort}) {
    EXPECT_FALSE(view.press(key));
  }
  EXPECT_NE(text_of(view.screen(80, 5)).find("no apps"), std::string::npos);
}

TEST(TopView, HelpComesAndGoesAndQuitsNothing) {
  TopView view = view_of({app("a", 1, 1)});
  view.press(TopKey::Help);
  EXPECT_NE(text_of(view.screen(100, 20)).find("one worker more"), std::string::npos);
  view.press(TopKey::Quit);
  EXPECT_FALSE(view.quitting());
  view.press(TopKey::Help);
  view.press(TopKey::Other);
  EXPECT_EQ(text_of(view.screen(100, 20)).find("one worker more"), std::string::npos);
  view.press(TopKey::Quit);
  EXPECT_TRUE(view.quitting());
}

TEST(TopView, SaysWhenTheFiguresAreOld) {
  TopView view = view_of({app("a", 1, 1)});
  view.set_connected(false);
  EXPECT_NE(view.screen(80, 5)[0].text.find("no connection"), std::string::npos);
  EXPECT_EQ(view.screen(80, 5)[0].colour, Colour::Red);
  view.set_connected(true);
  EXPECT_EQ(view.screen(80, 5)[0].colour, Colour::Bold);
}

TEST(TopView, TheFirstFiguresHaveNoRates) {
  TopView view("x");
  v1::WatchStatsResponse first = figures({app("a", 1, 7)});
  first.clear_over();
  view.take(first);
  EXPECT_EQ(text_of(view.table(0)).find("req/s"), std::string::npos);
}

TEST(LatencyText, IsShort) {
  google::protobuf::Duration time;
  EXPECT_EQ(latency_text(false, time), "-");
  time.set_nanos(1'250'000);
  EXPECT_EQ(latency_text(true, time), "1.2ms");
  time.set_nanos(412'000'000);
  EXPECT_EQ(latency_text(true, time), "412ms");
  time.set_seconds(2);
  EXPECT_EQ(latency_text(true, time), "2.4s");
  time.set_seconds(31);
  EXPECT_EQ(latency_text(true, time), "31s");
}

}  // namespace
}  // namespace appd::ctl
