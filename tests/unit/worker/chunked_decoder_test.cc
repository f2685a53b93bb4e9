// The decoder alone: where it stops, and that it never runs past the end of a body.
#include "worker/http/chunked_decoder.h"

#include <gtest/gtest.h>

namespace appd::http {
namespace {

TEST(ChunkedDecoder, LeavesWhatFollowsTheBody) {
  ChunkedDecoder decoder;
  Refusal refusal;
  std::string_view input = "1\r\na\r\n0\r\n\r\nGET /next";
  auto data = decoder.next(input, {}, refusal);
  ASSERT_EQ(data.event, ChunkedDecoder::Event::Data);
  EXPECT_EQ(data.data, "a");
  input.remove_prefix(data.used);
  auto end = decoder.next(input, {}, refusal);
  ASSERT_EQ(end.event, ChunkedDecoder::Event::Complete);
  EXPECT_EQ(input.substr(end.used), "GET /next");
}

TEST(ChunkedDecoder, HandsOutDataAsItComes) {
  ChunkedDecoder decoder;
  Refusal refusal;
  auto first = decoder.next("5\r\nhe", {}, refusal);
  EXPECT_EQ(first.data, "he");
  auto second = decoder.next("llo", {}, refusal);
  EXPECT_EQ(second.data, "llo");
  EXPECT_EQ(decoder.next("\r\n", {}, refusal).event, ChunkedDecoder::Event::NeedMore);
}

TEST(ChunkedDecoder, CannotBeMadeToOverflow) {
  ChunkedDecoder decoder;
  Refusal refusal;
  Limits no_limit;
  no_limit.body = 0;
  EXPECT_EQ(decoder.next("ffffffffffffffff\r\n", no_limit, refusal).event,
            ChunkedDecoder::Event::Refused);
}

}  // namespace
}  // namespace appd::http
