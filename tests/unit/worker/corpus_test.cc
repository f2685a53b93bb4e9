// Every file of the corpus, whole and cut at every byte: one verdict under any segmentation.
//
// A file's name begins with its verdict: the status of the refusal, 200 when every request in it
// is complete and accepted, "more" when it ends in the middle of one.
#include "tests/unit/worker/corpus.h"

#include <gtest/gtest.h>

#include "tests/unit/worker/codec_trace.h"

namespace appd::http {
namespace {

class Corpus : public testing::TestWithParam<std::string> {
 protected:
  std::string bytes_ = test::corpus_file("http1/" + GetParam() + ".http");
};

TEST_P(Corpus, HasTheVerdictInItsName) {
  Trace whole = trace(bytes_);
  if (GetParam().starts_with("200_")) {
    EXPECT_EQ(whole.status, 0) << whole.rule;
    EXPECT_GT(whole.complete, 0);
    EXPECT_FALSE(whole.waiting);
  } else if (GetParam().starts_with("more_")) {
    EXPECT_EQ(whole.status, 0) << whole.rule;
    EXPECT_TRUE(whole.waiting);
  } else {
    EXPECT_EQ(std::to_string(whole.status), GetParam().substr(0, 3)) << whole.events;
  }
}

TEST_P(Corpus, HasOneVerdictHoweverItIsCut) {
  std::string whole = trace(bytes_).events;
  // Long files repeat themselves: their ends and a sample of the middle will do.
  std::size_t step = bytes_.size() > 4096 ? 97 : 1;
  for (std::size_t cut = 1; cut < bytes_.size(); cut += step) {
    std::string_view view = bytes_;
    ASSERT_EQ(trace({view.substr(0, cut), view.substr(cut)}).events, whole) << "cut at " << cut;
  }
  std::vector<std::string_view> single;
  for (std::size_t at = 0; at < bytes_.size() && at < 8192; ++at) {
    single.push_back(std::string_view(bytes_).substr(at, 1));
  }
  if (bytes_.size() > 8192) single.push_back(std::string_view(bytes_).substr(8192));
  EXPECT_EQ(trace(single).events, whole);
}

INSTANTIATE_TEST_SUITE_P(Http1, Corpus, testing::ValuesIn(test::corpus_names("http1")),
                         [](const auto& test) { return test.param; });

}  // namespace
}  // namespace appd::http
