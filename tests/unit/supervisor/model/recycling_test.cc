// The rules of when workers are replaced.
#include <gtest/gtest.h>

#include <functional>

#include "supervisor/model/app_spec.h"

namespace appd::model {
namespace {

std::string broken(const std::function<void(AppSpec&)>& edit) {
  AppSpec spec;
  spec.directory = "/srv/web";
  spec.app = "m:app";
  spec.bind = {"127.0.0.1:8000"};
  edit(spec);
  std::string fields;
  for (const Violation& violation : validate(spec)) {
    fields += (fields.empty() ? "" : " ") + violation.field;
  }
  return fields;
}

TEST(ValidateRecycling, TakesWhatMakesSense) {
  EXPECT_EQ(broken([](AppSpec&) {}), "");
  EXPECT_EQ(broken([](AppSpec& s) {
              s.max_requests = 1'000'000'000;
              s.max_requests_jitter = 50;
              s.max_worker_lifetime = std::chrono::hours(24 * 365);
              s.max_worker_lifetime_jitter = std::chrono::hours(48);
              s.max_memory = std::int64_t{16} << 20;
              s.request_timeout = Milliseconds{1};
            }),
            "");
}

TEST(ValidateRecycling, NamesEachFieldThatDoesNot) {
  EXPECT_EQ(broken([](AppSpec& s) { s.max_requests = -1; }), "spec.max_requests");
  EXPECT_EQ(broken([](AppSpec& s) { s.max_requests_jitter = -1; }), "spec.max_requests_jitter");
  EXPECT_EQ(broken([](AppSpec& s) { s.max_worker_lifetime = Milliseconds{999}; }),
            "spec.max_worker_lifetime");
  EXPECT_EQ(broken([](AppSpec& s) { s.max_worker_lifetime = std::chrono::hours(24 * 366); }),
            "spec.max_worker_lifetime");
  EXPECT_EQ(broken([](AppSpec& s) { s.max_worker_lifetime_jitter = Milliseconds{-1}; }),
            "spec.max_worker_lifetime_jitter");
  EXPECT_EQ(broken([](AppSpec& s) { s.max_memory = 1 << 20; }), "spec.max_memory");
  EXPECT_EQ(broken([](AppSpec& s) { s.max_memory = -1; }), "spec.max_memory");
  EXPECT_EQ(broken([](AppSpec& s) { s.request_timeout = Milliseconds{-1}; }),
            "spec.request_timeout");
}

}  // namespace
}  // namespace appd::model
