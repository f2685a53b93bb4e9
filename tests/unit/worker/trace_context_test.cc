// What counts as a trace-id.
#include "worker/http/trace_context.h"

#include <gtest/gtest.h>

#include <string>

namespace appd::http {
namespace {

constexpr const char* kTrace = "4bf92f3577b34da6a3ce929d0e0e4736";
const std::string kValid = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

TEST(TraceContext, TakesTheTraceIdOut) {
  EXPECT_EQ(trace_id_of(kValid), kTrace);
  EXPECT_EQ(trace_id_of("cc" + kValid.substr(2)), kTrace);
  EXPECT_EQ(trace_id_of("cc" + kValid.substr(2) + "-what-will-be"), kTrace);
}

TEST(TraceContext, GivesNothingOfWhatIsNotValid) {
  const std::string zeros(32, '0');
  for (const std::string& value : {
           std::string(),
           std::string("00"),
           kValid.substr(0, 54),
           kValid + "-more",
           kValid + "x",
           "cc" + kValid.substr(2) + "x",
           "ff" + kValid.substr(2),
           "0X" + kValid.substr(2),
           "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01" + std::string(),
           "00-" + zeros + "-00f067aa0ba902b7-01",
           "00-" + std::string(kTrace) + "-0000000000000000-01",
           "00_" + kValid.substr(3),
           kValid.substr(0, 53) + "zz",
       }) {
    EXPECT_EQ(trace_id_of(value), "") << value;
  }
}

}  // namespace
}  // namespace appd::http
