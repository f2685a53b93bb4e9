// The rules of how new code proves itself, at their edges.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "supervisor/model/app_spec.h"
#include "supervisor/model/status_range.h"

namespace appd::model {
namespace {

std::vector<Violation> violations(const std::function<void(AppSpec&)>& edit) {
  AppSpec spec;
  spec.directory = "/srv/web";
  spec.app = "wsgi:app";
  spec.bind = {"127.0.0.1:8000"};
  edit(spec);
  return validate(spec);
}

std::string broken(const std::function<void(AppSpec&)>& edit) {
  const auto all = violations(edit);
  if (all.empty()) return "";
  return all.size() == 1 ? all[0].field : "several";
}

TEST(StatusRange, IsOneStatusOrTwoInOrder) {
  EXPECT_EQ(parse_status_range("200"), (StatusRange{200, 200}));
  EXPECT_EQ(parse_status_range("200-399"), (StatusRange{200, 399}));
  EXPECT_EQ(parse_status_range("599-599"), (StatusRange{599, 599}));
  for (const char* text : {"", "-", "2", "20", "2000", "2xx", "200-", "-200", "200-199", "199",
                           "100-200", "200-600", "200 - 299", "200-299-300", "+200", " 200"}) {
    EXPECT_FALSE(parse_status_range(text)) << text;
  }
}

TEST(ValidateHealth, TakesAPathAStatusAndTries) {
  EXPECT_EQ(broken([](AppSpec& s) {
              s.health_path = "/healthz?deep=1";
              s.health_status = "200-399";
              s.health_timeout = Milliseconds{1};
              s.health_tries = 100;
            }),
            "");
}

TEST(ValidateHealth, RefusesWhatIsNone) {
  for (const char* path : {"healthz", "/a b", "/a\r\nX: y"}) {
    EXPECT_EQ(broken([&](AppSpec& s) { s.health_path = path; }), "spec.health_path") << path;
  }
  EXPECT_EQ(broken([](AppSpec& s) { s.health_path = "/" + std::string(2048, 'x'); }),
            "spec.health_path");
  EXPECT_EQ(broken([](AppSpec& s) { s.health_status = "2xx"; }), "spec.health_status");
  EXPECT_EQ(broken([](AppSpec& s) { s.health_timeout = Milliseconds{0}; }), "spec.health_timeout");
  EXPECT_EQ(broken([](AppSpec& s) { s.health_tries = 0; }), "spec.health_tries");
  EXPECT_EQ(broken([](AppSpec& s) { s.health_tries = 101; }), "spec.health_tries");
}

TEST(ValidateHealth, AllTriesFitIntoBootTimeout) {
  const auto three_of_five_seconds = [](Milliseconds boot_timeout) {
    return violations([&](AppSpec& s) {
      s.health_path = "/healthz";
      s.boot_timeout = boot_timeout;
    });
  };
  EXPECT_TRUE(three_of_five_seconds(Milliseconds{16'000}).empty());
  const auto refused = three_of_five_seconds(Milliseconds{15'999});
  ASSERT_EQ(refused.size(), 1U);
  EXPECT_EQ(refused[0].field, "spec.health_timeout");
  EXPECT_NE(refused[0].description.find("may take 16 s"), std::string::npos)
      << refused[0].description;
  EXPECT_EQ(broken([](AppSpec& s) { s.boot_timeout = Milliseconds{1000}; }), "")
      << "without a path nobody is asked";
}

TEST(ValidateSurge, TakesANumberOfWorkersAndBytes) {
  EXPECT_EQ(broken([](AppSpec& s) { s.max_surge = 1024; }), "");
  EXPECT_EQ(broken([](AppSpec& s) { s.max_surge = -1; }), "spec.max_surge");
  EXPECT_EQ(broken([](AppSpec& s) { s.max_surge = 1025; }), "spec.max_surge");
  EXPECT_EQ(broken([](AppSpec& s) { s.memory_budget = std::int64_t{1} << 40; }), "");
  EXPECT_EQ(broken([](AppSpec& s) { s.memory_budget = -1; }), "spec.memory_budget");
}

TEST(ValidateCanary, FitsIntoTheSurge) {
  EXPECT_EQ(broken([](AppSpec& s) { s.canary = 5; }), "");
  EXPECT_EQ(broken([](AppSpec& s) { s.canary = s.max_surge = 5; }), "");
  EXPECT_EQ(broken([](AppSpec& s) {
              s.canary = 2;
              s.max_surge = 1;
            }),
            "spec.canary");
  EXPECT_EQ(broken([](AppSpec& s) { s.canary = -1; }), "spec.canary");
  EXPECT_EQ(broken([](AppSpec& s) { s.bake = Milliseconds{0}; }), "spec.bake");
}

TEST(ValidateCanary, TakesRatesAndFactorsThatAreNumbers) {
  for (double rate : {0.0, 0.01, 100.0}) {
    EXPECT_EQ(broken([&](AppSpec& s) { s.max_error_rate = rate; }), "") << rate;
  }
  for (double rate : {-0.1, 100.1, std::nan("")}) {
    EXPECT_EQ(broken([&](AppSpec& s) { s.max_error_rate = rate; }), "spec.max_error_rate") << rate;
  }
  for (double factor : {0.0, 1.0, 1.5, 1000.0}) {
    EXPECT_EQ(broken([&](AppSpec& s) { s.max_latency_factor = factor; }), "") << factor;
  }
  for (double factor : {-1.0, 0.5, 1001.0, std::nan("")}) {
    EXPECT_EQ(broken([&](AppSpec& s) { s.max_latency_factor = factor; }), "spec.max_latency_factor")
        << factor;
  }
}

}  // namespace
}  // namespace appd::model
