// The rules of the settings that face clients, at their edges.
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

TEST(ValidateTrusted, TakesAddressesNetworksEverybodyAndNobody) {
  for (const char* list : {"", " ", "*", " * ", "127.0.0.1", "::1", "10.0.0.0/8, fd00::/8 ,::1",
                           "0.0.0.0/0", "10.1.2.3/32", "::/0", "::ffff:10.0.0.1"}) {
    EXPECT_EQ(broken([&](AppSpec& s) { s.forwarded_allow_ips = s.proxy_allow_ips = list; }), "")
        << list;
  }
}

TEST(ValidateTrusted, RefusesWhatIsNoAddress) {
  for (const char* list :
       {"localhost", "10.0.0", "10.0.0.1:80", "[::1]", "10.0.0.0/33", "fd00::/129", "10.0.0.0/",
        "10.0.0.0/-1", "10.0.0.0/8x", "/8", ",", "10.0.0.1,", ",::1", "10.0.0.1,,::1", "*,10.0.0.1",
        "10.0.0.1 ::1", "10.0.0.1\n", "unix:/run/x"}) {
    EXPECT_EQ(broken([&](AppSpec& s) { s.forwarded_allow_ips = list; }), "spec.forwarded_allow_ips")
        << list;
    EXPECT_EQ(broken([&](AppSpec& s) { s.proxy_allow_ips = list; }), "spec.proxy_allow_ips")
        << list;
  }
  std::string many = "10.0.0.1";
  while (many.size() <= 4096) many += ",10.0.0.1";
  EXPECT_EQ(broken([&](AppSpec& s) { s.proxy_allow_ips = many; }), "spec.proxy_allow_ips");
}

TEST(ValidateTrusted, NamesTheEntryThatIsWrong) {
  const auto wrong =
      violations([](AppSpec& s) { s.forwarded_allow_ips = "10.0.0.1, proxy.local, ::1"; });
  ASSERT_EQ(wrong.size(), 1U);
  EXPECT_NE(wrong[0].description.find("but has \"proxy.local\": write"), std::string::npos)
      << wrong[0].description;
}

TEST(ValidateProxyProtocol, IsOneOfFourWords) {
  for (const char* word : {"off", "v1", "v2", "auto"}) {
    EXPECT_EQ(broken([&](AppSpec& s) { s.proxy_protocol = word; }), "") << word;
  }
  for (const char* word : {"", "on", "V1", "v3"}) {
    EXPECT_EQ(broken([&](AppSpec& s) { s.proxy_protocol = word; }), "spec.proxy_protocol") << word;
  }
}

TEST(ValidateAccessLog, TakesEveryAtomOfGunicorn) {
  std::string all = "100%% ";
  for (char letter : std::string_view("hlutrmUqHsBbfaTDMLp")) {
    all += std::string("%(") + letter + ")s ";
  }
  all += "%({user-agent}i)s %({content-type}o)s %({wsgi.url_scheme}e)s";
  for (const std::string& format :
       {all, std::string("json"), std::string("%%"), std::string("-")}) {
    EXPECT_EQ(broken([&](AppSpec& s) { s.access_log_format = format; }), "") << format;
  }
}

TEST(ValidateAccessLog, RefusesWhatIsNoAtom) {
  for (const char* format :
       {"", "%", "%h", "%(h)", "%(h)d", "%(x)s", "%()s", "%(hh)s", "%({}i)s", "%({a}x)s", "%({a}s",
        "%({a}ii)s", "%({a{b}}i)s", "50% %(h)s", "%(h)s\n%(r)s"}) {
    EXPECT_EQ(broken([&](AppSpec& s) { s.access_log_format = format; }), "spec.access_log_format")
        << format;
  }
  EXPECT_EQ(broken([](AppSpec& s) { s.access_log_format = std::string(1025, 'x'); }),
            "spec.access_log_format");
}

TEST(ValidateWebSockets, AtTheEdges) {
  EXPECT_EQ(broken([](AppSpec& s) {
              s.ws_max_size = 1;
              s.ws_ping_interval = s.ws_ping_timeout = s.ws_drain_timeout = Milliseconds{0};
            }),
            "");
  EXPECT_EQ(broken([](AppSpec& s) { s.ws_max_size = 0; }), "spec.ws_max_size");
  EXPECT_EQ(broken([](AppSpec& s) { s.ws_max_size = (std::int64_t{1} << 40) + 1; }),
            "spec.ws_max_size");
  const Milliseconds more_than_a_day{86'400'001};
  EXPECT_EQ(broken([&](AppSpec& s) { s.ws_ping_interval = more_than_a_day; }),
            "spec.ws_ping_interval");
  EXPECT_EQ(broken([&](AppSpec& s) { s.ws_ping_timeout = more_than_a_day; }),
            "spec.ws_ping_timeout");
  EXPECT_EQ(broken([&](AppSpec& s) { s.ws_drain_timeout = more_than_a_day; }),
            "spec.ws_drain_timeout");
}

}  // namespace
}  // namespace appd::model
