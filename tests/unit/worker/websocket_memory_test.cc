// What a WebSocket takes of memory: nothing while it is idle, and bounded whatever a client does.
#include <gtest/gtest.h>

#include "tests/unit/worker/heap_use.h"
#include "tests/unit/worker/websocket_trace.h"
#include "worker/http/websocket_codec.h"

namespace appd::http {
namespace {

using Event = WebSocketDecoder::Event;
using test::HeapUse;

constexpr std::uint64_t kLimit = 1 << 20;

// Shows it all and returns the last event before NeedMore.
Event show(WebSocketDecoder& decoder, std::span<char> input, std::uint64_t limit = kLimit) {
  Event last = Event::NeedMore;
  for (;;) {
    auto step = decoder.next(input, limit);
    if (step.event == Event::NeedMore) return last;
    last = step.event;
    input = input.subspan(step.used);
  }
}

TEST(WebSocketMemory, IsNotNeededForWholeMessages) {
  std::string frames = client_frame(kFinText, std::string(1000, 'x')) + client_frame(kFinPing, "p");
  HeapUse heap;
  WebSocketDecoder decoder(DeflateParameters{});
  EXPECT_EQ(show(decoder, frames), Event::Ping);
  EXPECT_EQ(heap.peak(), 0U);
}

TEST(WebSocketMemory, IsGivenBackAfterAMessageInPieces) {
  std::string text = client_frame(kFinText, std::string(100'000, 'x'));
  std::string ping = client_frame(kFinPing, std::string(125, 'p'));
  WebSocketDecoder decoder;
  for (std::string* frame : {&text, &ping}) {
    auto input = std::span<char>(*frame);
    HeapUse heap;
    show(decoder, input.first(50));
    EXPECT_GT(heap.now(), 0U);
    EXPECT_LT(heap.now(), 1000U) << "what came counts, not what was announced";
    EXPECT_NE(show(decoder, input.subspan(50)), Event::NeedMore);
    EXPECT_EQ(heap.now(), 0U);
  }
}

TEST(WebSocketMemory, OfCompressionIsGivenBackByRelease) {
  std::string message;
  for (int i = 0; i < 300; ++i) message += "message " + std::to_string(i * 7919);
  ByteBuffer out;
  Deflater client{DeflateParameters{}};
  ASSERT_TRUE(client.compress(message, out));
  std::string frame = client_frame(kFinTextDeflated, out.view());
  out.reserve(10'000);

  HeapUse heap;
  WebSocketDecoder decoder(DeflateParameters{});
  WebSocketEncoder encoder(DeflateParameters{});
  EXPECT_EQ(show(decoder, frame), Event::Text);
  EXPECT_TRUE(encoder.message(WebSocketEncoder::Kind::Text, message, out).empty());
  encoder.release();
  decoder.release();
  EXPECT_LT(heap.now(), 4200U) << "the client's window";
}

TEST(WebSocketMemory, IsBoundedForAMillionFragmentsOfOneByte) {
  constexpr int kFragments = 1'000'000;
  std::string fragment = client_frame(kContinue, "x");
  std::string input;
  for (int i = 0; i < 1000; ++i) input += fragment;

  WebSocketDecoder decoder;
  std::string first = client_frame(kBeginText, "x");
  HeapUse heap;
  show(decoder, first);
  for (int i = 0; i < kFragments / 1000; ++i) {
    std::string copy = input;
    ASSERT_EQ(show(decoder, copy), Event::NeedMore);
  }
  std::string last = client_frame(kFinContinue, "x");
  auto step = decoder.next(last, kLimit);
  EXPECT_EQ(step.event, Event::Text);
  EXPECT_EQ(step.data.size(), kFragments + 2U);
  EXPECT_LT(heap.peak(), 4 * kLimit);
}

TEST(WebSocketMemory, IsNotTakenByEmptyFragments) {
  std::string input;
  for (int i = 0; i < 1000; ++i) input += client_frame(kContinue, "");
  for (std::uint8_t first : {0x01, 0x41}) {
    std::string begin = client_frame(first, "");
    WebSocketDecoder decoder(DeflateParameters{});
    HeapUse heap;
    show(decoder, begin);
    for (int i = 0; i < 1000; ++i) show(decoder, input);
    EXPECT_LT(heap.peak(), 100U);
  }
}

TEST(WebSocketMemory, StopsAtTheLimitUnderFragments) {
  std::string input;
  for (int i = 0; i < 1000; ++i) input += client_frame(kContinue, "x");
  std::string begin = client_frame(kBeginBinary, "x");
  constexpr std::uint64_t kSmall = 100'000;
  WebSocketDecoder decoder;
  HeapUse heap;
  show(decoder, begin, kSmall);
  Event event = Event::NeedMore;
  for (int i = 0; event == Event::NeedMore; ++i) {
    ASSERT_LT(i, 101);
    std::string copy = input;
    event = show(decoder, copy, kSmall);
  }
  EXPECT_EQ(event, Event::Refused);
  EXPECT_LT(heap.peak(), 5 * kSmall);
  EXPECT_EQ(heap.now(), 0U);
}

}  // namespace
}  // namespace appd::http
