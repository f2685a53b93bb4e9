// One record a line, whatever a client sends.
#include "worker/net/log_line.h"

#include <gtest/gtest.h>

namespace appd::net {
namespace {

template <typename F>
std::string captured(F log) {
  testing::internal::CaptureStderr();
  log();
  return testing::internal::GetCapturedStderr();
}

TEST(LogLine, WritesLogfmt) {
  EXPECT_EQ(captured([] {
              LogLine("warn", "request_timeout")
                  .add("worker", 3)
                  .add("method", "GET")
                  .add("path", "/slow");
            }),
            "level=warn event=request_timeout worker=3 method=GET path=\"/slow\"\n");
}

TEST(LogLine, EscapesWhatCouldForgeALine) {
  std::string line = captured(
      [] { LogLine("info", "x").add("path", "/a\r\nlevel=error \x1b[31m\"\\\xe2\x80\xa8"); });
  EXPECT_EQ(line,
            "level=info event=x path=\"/a\\x0d\\x0alevel=error "
            "\\x1b[31m\\\"\\\\\\xe2\\x80\\xa8\"\n");
}

TEST(LogLine, CutsLongValues) {
  EXPECT_LT(captured([] { LogLine("info", "x").add("path", std::string(10'000, 'x')); }).size(),
            400U);
}

}  // namespace
}  // namespace appd::net
