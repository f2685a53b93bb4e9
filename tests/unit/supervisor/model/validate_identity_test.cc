// The rules of whom an app runs as, at their edges.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "supervisor/model/app_spec.h"

namespace appd::model {
namespace {

std::string broken(const std::function<void(AppSpec&)>& edit) {
  AppSpec spec;
  spec.directory = "/srv/web";
  spec.app = "wsgi:app";
  spec.bind = {"127.0.0.1:8000"};
  edit(spec);
  std::string fields;
  for (const Violation& violation : validate(spec)) fields += violation.field + " ";
  return fields;
}

TEST(ValidateIdentity, TakesNamesNumbersAndLimits) {
  EXPECT_EQ(broken([](AppSpec& s) {
              s.user = "www-data";
              s.group = "33";
              s.umask = "027";
              s.limit_nofile = 64;
              s.limit_nproc = 1;
              s.limit_core = 0;
              s.limit_as = std::int64_t{64} << 20;
              s.limit_memory = s.limit_memory_high = std::int64_t{16} << 20;
              s.limit_cpu = 0.01;
              s.limit_pids = 16;
            }),
            "");
}

TEST(ValidateIdentity, RefusesWhatNoHostHas) {
  EXPECT_EQ(broken([](AppSpec& s) { s.user = "-root"; }), "spec.user ");
  EXPECT_EQ(broken([](AppSpec& s) { s.user = "a b"; }), "spec.user ");
  EXPECT_EQ(broken([](AppSpec& s) { s.group = std::string(33, 'g'); }), "spec.group ");
  EXPECT_EQ(broken([](AppSpec& s) { s.group = "a:b"; }), "spec.group ");
  EXPECT_EQ(broken([](AppSpec& s) { s.umask = ""; }), "spec.umask ");
  EXPECT_EQ(broken([](AppSpec& s) { s.umask = "0888"; }), "spec.umask ");
  EXPECT_EQ(broken([](AppSpec& s) { s.umask = "1022"; }), "spec.umask ");
}

TEST(ValidateIdentity, RefusesLimitsThatNothingCanLiveWith) {
  EXPECT_EQ(broken([](AppSpec& s) { s.limit_nofile = 63; }), "spec.limit_nofile ");
  EXPECT_EQ(broken([](AppSpec& s) { s.limit_nproc = 0; }), "spec.limit_nproc ");
  EXPECT_EQ(broken([](AppSpec& s) { s.limit_core = -2; }), "spec.limit_core ");
  EXPECT_EQ(broken([](AppSpec& s) { s.limit_as = (std::int64_t{64} << 20) - 1; }),
            "spec.limit_as ");
  EXPECT_EQ(broken([](AppSpec& s) { s.limit_memory = 1 << 20; }), "spec.limit_memory ");
  EXPECT_EQ(broken([](AppSpec& s) { s.limit_memory_high = -1; }), "spec.limit_memory_high ");
  EXPECT_EQ(broken([](AppSpec& s) {
              s.limit_memory = 100 << 20;
              s.limit_memory_high = 101 << 20;
            }),
            "spec.limit_memory_high ");
  for (const std::int64_t wrong : {-1, 15, 4'194'305}) {
    EXPECT_EQ(broken([&](AppSpec& s) { s.limit_pids = wrong; }), "spec.limit_pids ") << wrong;
  }
  for (const double wrong : {-1.0, 0.001, 1025.0, std::nan("")}) {
    EXPECT_EQ(broken([&](AppSpec& s) { s.limit_cpu = wrong; }), "spec.limit_cpu ") << wrong;
  }
}

}  // namespace
}  // namespace appd::model
