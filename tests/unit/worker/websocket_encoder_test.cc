// What we send: RFC 6455 §5.2, byte for byte where a client could stumble.
#include <gtest/gtest.h>

#include "worker/http/websocket_codec.h"

namespace appd::http {
namespace {

using Kind = WebSocketEncoder::Kind;

std::string message(Kind kind, std::string_view payload) {
  WebSocketEncoder encoder;
  ByteBuffer out;
  std::string_view rest = encoder.message(kind, payload, out);
  return std::string(out.view()).append(rest);
}

template <typename Write>
std::string written(Write write) {
  ByteBuffer out;
  write(out);
  return std::string(out.view());
}

// §5.7
TEST(WebSocketEncoder, WritesTheExamplesOfTheRfc) {
  EXPECT_EQ(message(Kind::Text, "Hello"), "\x81\x05Hello");
  EXPECT_EQ(written([](ByteBuffer& out) { WebSocketEncoder::ping("Hello", out); }),
            "\x89\x05Hello");
  EXPECT_EQ(message(Kind::Binary, std::string(256, 'x')),
            std::string("\x82\x7e\x01\x00", 4) + std::string(256, 'x'));
  EXPECT_EQ(message(Kind::Binary, std::string(65536, 'x')),
            std::string("\x82\x7f\0\0\0\0\0\x01\0\0", 10) + std::string(65536, 'x'));
}

TEST(WebSocketEncoder, WritesLengthsInTheirShortestForm) {
  auto header = [](std::size_t size) {
    std::string frame = message(Kind::Text, std::string(size, 'x'));
    return frame.substr(0, frame.size() - size);
  };
  EXPECT_EQ(header(0), std::string("\x81\x00", 2));
  EXPECT_EQ(header(125), "\x81\x7d");
  EXPECT_EQ(header(126), std::string("\x81\x7e\x00\x7e", 4));
  EXPECT_EQ(header(65535), "\x81\x7e\xff\xff");
  EXPECT_EQ(header(65536), std::string("\x81\x7f\0\0\0\0\0\x01\0\0", 10));
}

TEST(WebSocketEncoder, DoesNotCopyALongPayload) {
  WebSocketEncoder encoder;
  ByteBuffer out;
  std::string small(1000, 's');
  std::string large(100'000, 'l');
  EXPECT_TRUE(encoder.message(Kind::Text, small, out).empty());
  EXPECT_EQ(out.size(), 1004U);
  EXPECT_EQ(encoder.message(Kind::Text, large, out).data(), large.data());
  EXPECT_EQ(out.size(), 1014U) << "after what was there before";
}

// §5.5.1
TEST(WebSocketEncoder, WritesCloseFrames) {
  auto close = [](std::uint16_t code, std::string_view reason) {
    return written([=](ByteBuffer& out) { WebSocketEncoder::close(code, reason, out); });
  };
  EXPECT_EQ(close(1000, ""), "\x88\x02\x03\xe8");
  EXPECT_EQ(close(1012, "restart"), "\x88\x09\x03\xf4restart");
  EXPECT_EQ(close(close_code::kNone, ""), std::string("\x88\x00", 2));
  EXPECT_EQ(close(4999, std::string(123, 'r')), "\x88\x7d\x13\x87" + std::string(123, 'r'));
}

TEST(WebSocketEncoder, CutsALongReasonBetweenCharacters) {
  auto reason = [](const std::string& given) {
    return written([&](ByteBuffer& out) { WebSocketEncoder::close(1000, given, out); }).substr(4);
  };
  EXPECT_EQ(reason(std::string(200, 'r')), std::string(123, 'r'));
  EXPECT_EQ(reason(std::string(121, 'r') + "€uro"), std::string(121, 'r'));
  EXPECT_EQ(reason(std::string(120, 'r') + "€uro"), std::string(120, 'r') + "€");
}

TEST(WebSocketEncoder, WritesPongsWithTheirPayload) {
  std::string payload(125, '\xff');
  EXPECT_EQ(written([&](ByteBuffer& out) { WebSocketEncoder::pong(payload, out); }),
            "\x8a\x7d" + payload);
  EXPECT_EQ(written([](ByteBuffer& out) { WebSocketEncoder::pong("", out); }),
            std::string("\x8a\x00", 2));
}

TEST(CloseCode, IsRegisteredOrOfLibrariesOrApps) {
  for (std::uint16_t good : {1000, 1003, 1007, 1011, 1012, 1014, 3000, 4000, 4999}) {
    EXPECT_TRUE(is_close_code(good)) << good;
  }
  for (std::uint16_t bad : {0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535}) {
    EXPECT_FALSE(is_close_code(bad)) << bad;
  }
}

}  // namespace
}  // namespace appd::http
