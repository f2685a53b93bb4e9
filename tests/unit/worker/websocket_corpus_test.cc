// Every file of the corpus, whole and cut at every byte: one verdict under any segmentation.
//
// A file is what a client sends after a handshake that agreed on compression, to a server that
// takes messages of 64 KiB. Its name begins with its verdict: the close code of the refusal, "ok"
// when every message in it is complete, "close" when the client ends it, "more" when it stops
// inside a message.
#include <gtest/gtest.h>

#include "tests/unit/worker/corpus.h"
#include "tests/unit/worker/websocket_trace.h"

namespace appd::http {
namespace {

class WebSocketCorpus : public testing::TestWithParam<std::string> {
 protected:
  bool is(std::string_view verdict) const {
    return GetParam().starts_with(std::string(verdict) + "_");
  }
  std::string bytes_ = test::corpus_file("websocket/" + GetParam() + ".frames");
  WebSocketSetting setting_{.max_size = 65536, .deflate = DeflateParameters{}};
};

TEST_P(WebSocketCorpus, HasTheVerdictInItsNameHoweverItIsCut) {
  WebSocketTrace trace = trace_in_every_way(bytes_, setting_);
  EXPECT_EQ(trace.events.find("BUT"), std::string::npos) << trace.events;
  bool closed = trace.events.find("close ") != std::string::npos;
  if (is("close")) {
    EXPECT_TRUE(closed) << trace.events;
  } else if (is("ok") || is("more")) {
    EXPECT_EQ(trace.code, 0) << trace.events;
    EXPECT_EQ(trace.waiting, is("more")) << trace.events;
    EXPECT_FALSE(closed) << trace.events;
  } else {
    EXPECT_EQ(std::to_string(trace.code), GetParam().substr(0, 4)) << trace.events;
  }
}

INSTANTIATE_TEST_SUITE_P(WebSocket, WebSocketCorpus,
                         testing::ValuesIn(test::corpus_names("websocket")),
                         [](const auto& test) { return test.param; });

}  // namespace
}  // namespace appd::http
