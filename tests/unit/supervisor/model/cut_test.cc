// Adding up what was cut.
#include "supervisor/model/cut.h"

#include <gtest/gtest.h>

namespace appd::model {
namespace {

TEST(Cut, CountsAllAndNamesTheFirst) {
  Cut cut;
  EXPECT_FALSE(cut.any());
  for (std::int32_t i = 1; i <= 20; ++i) {
    cut.add({i, 1, i, "graceful_timeout", 2, 1, {}}, Milliseconds{i});
  }
  EXPECT_TRUE(cut.any());
  EXPECT_EQ(cut.workers, 20);
  EXPECT_EQ(cut.requests, 40);
  EXPECT_EQ(cut.websockets, 20);
  EXPECT_EQ(cut.graceful_timeout, Milliseconds{1}) << "as it was for the first";
  ASSERT_EQ(cut.first.size(), Cut::kNamed);
  EXPECT_EQ(cut.first.front().worker, 1);
}

TEST(Cut, IsToldInWords) {
  EXPECT_EQ(cut_words(1, 0), "1 request");
  EXPECT_EQ(cut_words(0, 2), "2 WebSockets");
  EXPECT_EQ(cut_words(2, 1), "2 requests and 1 WebSocket");
  EXPECT_EQ(cut_words(0, 0), "nothing that is known");
}

}  // namespace
}  // namespace appd::model
