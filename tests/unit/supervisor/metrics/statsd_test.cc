// Gunicorn's names, and numbers that add up at the other end.
#include "supervisor/metrics/statsd.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace appd::metrics {
namespace {

model::MeasuredApp app(const std::string& id) {
  model::MeasuredApp app;
  app.id = id;
  app.uid = "uid of " + id;
  app.ready_workers = 2;
  return app;
}

model::Measurement measured(std::vector<model::MeasuredApp> apps) {
  model::Measurement out;
  out.apps = std::move(apps);
  return out;
}

// An app that has answered so many, each within a millisecond.
model::MeasuredApp served(const std::string& id, std::uint64_t requests) {
  model::MeasuredApp out = app(id);
  Counts& counts = out.tally.counts;
  counts.requests = requests;
  counts.answers[kStatusPlaces[200]] = requests - 1;
  counts.answers[kStatusPlaces[418]] = 1;
  counts.latency[10] = requests;
  return out;
}

TEST(Statsd, SaysWhatHasComeSince) {
  const auto before = measured({served("web", 3)});
  const auto lines = statsd_lines(&before, measured({served("web", 43)}), "{app}");
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_EQ(lines[0],
            "web.gunicorn.workers:2|g\n"
            "web.gunicorn.requests:40|c\n"
            "web.gunicorn.request.status.200:40|c\n"
            "web.gunicorn.request.duration:0.768|ms|@0.025");
}

TEST(Statsd, CountsAnAppThatIsNewFromItsBeginning) {
  const auto before = measured({});
  EXPECT_EQ(statsd_lines(&before, measured({served("web", 1)}), "").at(0),
            "gunicorn.workers:2|g\n"
            "gunicorn.requests:1|c\n"
            "gunicorn.request.status.4xx:1|c\n"
            "gunicorn.request.duration:0.768|ms");
}

TEST(Statsd, BeginsWithGaugesAlone) {
  EXPECT_EQ(statsd_lines(nullptr, measured({served("web", 5)}), "a.{app}.b..").at(0),
            "a.web.b.gunicorn.workers:2|g");
}

TEST(Statsd, AddsUpWhatHasOneName) {
  const auto before = measured({});
  const auto lines = statsd_lines(&before, measured({served("a", 2), served("b", 3)}), "host");
  EXPECT_TRUE(lines.at(0).starts_with("host.gunicorn.workers:4|g\nhost.gunicorn.requests:5|c\n"));
}

TEST(Statsd, FitsIntoDatagrams) {
  std::vector<model::MeasuredApp> many;
  for (int i = 0; i < 100; ++i) many.push_back(app("app-" + std::to_string(i)));
  std::size_t lines = 0;
  for (const std::string& datagram : statsd_lines(nullptr, measured(many), "{app}")) {
    EXPECT_LE(datagram.size(), kDatagram);
    lines += 1 + static_cast<std::size_t>(std::count(datagram.begin(), datagram.end(), '\n'));
  }
  EXPECT_EQ(lines, 100U);
}

}  // namespace
}  // namespace appd::metrics
