// The rules of how logs are rotated, at their edges.
#include <gtest/gtest.h>

#include <functional>

#include "supervisor/model/app_spec.h"

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

TEST(ValidateLogs, AtTheEdges) {
  constexpr std::int64_t kDay = 86'400'000;
  EXPECT_EQ(broken([](AppSpec& s) {
              s.log_max_size = 0;
              s.log_max_age = Milliseconds{0};
              s.log_keep = 0;
            }),
            "");
  EXPECT_EQ(broken([](AppSpec& s) {
              s.log_max_size = 65'536;
              s.log_max_age = Milliseconds{60'000};
              s.log_keep = 1000;
            }),
            "");
  EXPECT_EQ(broken([](AppSpec& s) {
              s.log_max_size = std::int64_t{1} << 40;
              s.log_max_age = Milliseconds{366 * kDay};
            }),
            "");
  for (std::int64_t size : {std::int64_t{-1}, std::int64_t{65'535}, (std::int64_t{1} << 40) + 1}) {
    EXPECT_EQ(broken([&](AppSpec& s) { s.log_max_size = size; }), "spec.log_max_size") << size;
  }
  for (std::int64_t age : {std::int64_t{-1}, std::int64_t{59'999}, 366 * kDay + 1}) {
    EXPECT_EQ(broken([&](AppSpec& s) { s.log_max_age = Milliseconds{age}; }), "spec.log_max_age")
        << age;
  }
  EXPECT_EQ(broken([](AppSpec& s) { s.log_keep = -1; }), "spec.log_keep");
  EXPECT_EQ(broken([](AppSpec& s) { s.log_keep = 1001; }), "spec.log_keep");
}

}  // namespace
}  // namespace appd::model
