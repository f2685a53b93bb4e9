// The rules on what a client sends, each by its section of RFC 6455, however the bytes are cut.
#include <gtest/gtest.h>

#include <random>

#include "tests/unit/worker/websocket_trace.h"
#include "worker/http/websocket_codec.h"

namespace appd::http {
namespace {

using namespace std::string_view_literals;

std::string events(const std::string& bytes, const WebSocketSetting& setting = {}) {
  return trace_in_every_way(bytes, setting).events;
}

std::string close_payload(int code, std::string_view reason = "") {
  return std::string{static_cast<char>(code >> 8), static_cast<char>(code)}.append(reason);
}

// §5.7 has these bytes.
TEST(WebSocketDecoder, ReadsTheExamplesOfTheRfc) {
  EXPECT_EQ(events("\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"), "text Hello; ");
  EXPECT_EQ(events("\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"), "pong Hello; ");
}

TEST(WebSocketDecoder, ReadsMessagesAndControlFrames) {
  EXPECT_EQ(events(client_frame(kFinText, "κόσμε") + client_frame(kFinBinary, "\xff\x01") +
                   client_frame(kFinPing, "are you there") + client_frame(kFinPong, "") +
                   client_frame(kFinText, "") + client_frame(kFinBinary, "") +
                   client_frame(kFinClose, close_payload(1000, "bye"))),
            "text κόσμε; binary \xff\x01; ping are you there; pong ; text ; binary ; "
            "close 1000 bye; ");
}

// §5.2: 7, 16 and 64 bits of length, in every state of the key.
TEST(WebSocketDecoder, ReadsEveryLength) {
  for (std::size_t size : {1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 124, 125, 126, 127, 200}) {
    std::string payload;
    for (std::size_t i = 0; i < size; ++i) payload += static_cast<char>('a' + i % 26);
    EXPECT_EQ(events(client_frame(kFinBinary, payload)), "binary " + payload + "; ");
  }
  for (std::size_t size : {65535, 65536, 70'001}) {
    std::string frame = client_frame(kFinText, std::string(size, 'x'));
    std::string whole = trace_websocket(frame).events;
    EXPECT_TRUE(whole.starts_with("text " + std::to_string(size) + " bytes")) << whole;
    for (std::size_t cut : {1, 3, 5, 9, 11, 14, 15, 4096, 65537}) {
      auto view = std::string_view(frame);
      EXPECT_EQ(trace_websocket({view.substr(0, cut), view.substr(cut)}).events, whole);
    }
  }
}

// §5.4
TEST(WebSocketDecoder, AssemblesFragments) {
  EXPECT_EQ(events(client_frame(kBeginText, "Hel") + client_frame(kContinue, "") +
                   client_frame(kContinue, "l", "abcd") + client_frame(kFinContinue, "o")),
            "text Hello; ");
  EXPECT_EQ(events(client_frame(kBeginText, "") + client_frame(kFinContinue, "all at the end")),
            "text all at the end; ");
  EXPECT_EQ(events(client_frame(kBeginBinary, "") + client_frame(kFinContinue, "")), "binary ; ");
  EXPECT_EQ(events(client_frame(kBeginText, "a") + client_frame(kFinContinue, "b") +
                   client_frame(kBeginText, "c") + client_frame(kFinContinue, "d")),
            "text ab; text cd; ");
}

TEST(WebSocketDecoder, TakesControlFramesBetweenFragments) {
  EXPECT_EQ(events(client_frame(kBeginText, "Hel") + client_frame(kFinPing, "p1") +
                   client_frame(kContinue, "l") + client_frame(kFinPong, std::string(125, 'p')) +
                   client_frame(kFinPing, "") + client_frame(kFinContinue, "o")),
            "ping p1; pong " + std::string(125, 'p') + "; ping ; text Hello; ");
  EXPECT_EQ(events(client_frame(kBeginText, "Hel") + client_frame(kFinClose, "")), "close 1005 ; ");
}

TEST(WebSocketDecoder, WaitsInsideAMessageOnly) {
  EXPECT_FALSE(trace_in_every_way(client_frame(kFinText, "a")).waiting);
  EXPECT_TRUE(trace_in_every_way(client_frame(kBeginText, "a")).waiting);
  EXPECT_TRUE(
      trace_in_every_way(client_frame(kBeginText, "a") + client_frame(kFinPing, "")).waiting);
}

struct Refusal {
  const char* name;
  std::string bytes;
  int code;
  const char* reason;
};

void expect_refused(const std::vector<Refusal>& refusals, const WebSocketSetting& setting = {}) {
  for (const auto& [name, bytes, code, reason] : refusals) {
    EXPECT_EQ(events(bytes, setting), "refused " + std::to_string(code) + " " + reason) << name;
  }
}

// §5.1, §5.2
TEST(WebSocketDecoder, RefusesBadHeadersAtTheFirstByteThatIsWrong) {
  expect_refused({
      {"unmasked", std::string("\x81\x05", 2), 1002, "Frame is not masked"},
      {"unmasked ping", std::string("\x89\x00", 2), 1002, "Frame is not masked"},
      {"RSV1 without deflate", "\xc1", 1002, "Reserved bit is set"},
      {"RSV2", "\xa1", 1002, "Reserved bit is set"},
      {"RSV3", "\x91", 1002, "Reserved bit is set"},
      {"16 bits for 125", std::string("\x81\xfe\x00\x7d", 4), 1002,
       "Length is not in its shortest form"},
      {"64 bits for 65535", std::string("\x82\xff\0\0\0\0\0\0\xff\xff", 10), 1002,
       "Length is not in its shortest form"},
      {"64 bits for 1", std::string("\x82\xff\0\0\0\0\0\0\0\x01", 10), 1002,
       "Length is not in its shortest form"},
      {"top bit", std::string("\x82\xff\x80\0\0\0\0\0\0\x01", 10), 1002,
       "Length has its top bit set"},
  });
  for (int opcode : {3, 4, 5, 6, 7, 11, 12, 13, 14, 15}) {
    expect_refused(
        {{"opcode", std::string(1, static_cast<char>(0x80 | opcode)), 1002, "Opcode is reserved"}});
  }
}

// §5.5
TEST(WebSocketDecoder, RefusesControlFramesThatAreFragmentedOrLong) {
  for (char opcode : {'\x08', '\x09', '\x0a'}) {
    char first = static_cast<char>('\x80' | opcode);
    expect_refused({
        {"fragment", {opcode}, 1002, "Control frame is fragmented"},
        {"126 bytes", {first, '\xfe'}, 1002, "Control frame is longer than 125 bytes"},
        {"more", {first, '\xff'}, 1002, "Control frame is longer than 125 bytes"},
    });
  }
}

// §5.4
TEST(WebSocketDecoder, RefusesFragmentsOutOfOrder) {
  EXPECT_EQ(events(client_frame(kFinContinue, "a")), "refused 1002 Continuation without a message");
  EXPECT_EQ(events(client_frame(kContinue, "a")), "refused 1002 Continuation without a message");
  EXPECT_EQ(events(client_frame(kFinText, "a") + client_frame(kFinContinue, "b")),
            "text a; refused 1002 Continuation without a message");
  for (std::uint8_t first : {kFinText, kFinBinary, kBeginText, kBeginBinary}) {
    EXPECT_EQ(events(client_frame(kBeginText, "a") + client_frame(first, "b")),
              "refused 1002 New message inside a fragmented one");
  }
}

// §5.5.1, §7.4
TEST(WebSocketDecoder, ChecksCloseFrames) {
  for (int code : {1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000,
                   3999, 4000, 4999}) {
    EXPECT_EQ(events(client_frame(kFinClose, close_payload(code))),
              "close " + std::to_string(code) + " ; ");
  }
  for (int code : {0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 32768, 65535}) {
    EXPECT_EQ(events(client_frame(kFinClose, close_payload(code))),
              "refused 1002 Close code is reserved or out of range");
  }
  EXPECT_EQ(events(client_frame(kFinClose, "")), "close 1005 ; ");
  EXPECT_EQ(events(client_frame(kFinClose, "\x03")),
            "refused 1002 Close frame's payload is one byte");
  EXPECT_EQ(events(client_frame(kFinClose, close_payload(1000, std::string(123, 'r')))),
            "close 1000 " + std::string(123, 'r') + "; ");
  for (const char* bad : {"\xff", "a\xce", "\xed\xa0\x80"}) {
    EXPECT_EQ(events(client_frame(kFinClose, close_payload(1000, bad))),
              "refused 1007 Close reason is not UTF-8");
  }
}

// §1.4, §7.1.7
TEST(WebSocketDecoder, IgnoresWhatFollowsTheEnd) {
  std::string more = client_frame(kFinText, "more") + "\xff\xff";
  EXPECT_EQ(events(client_frame(kFinClose, close_payload(1001)) + more), "close 1001 ; ");
  EXPECT_EQ(events("\xff" + more), "refused 1002 Reserved bit is set");
}

// --- text ----------------------------------------------------------------------------------------

// §8.1, and as early as it can be known: the bytes that would follow are not there.
TEST(WebSocketDecoder, RefusesTextAtTheFirstByteThatIsNotUtf8) {
  const std::string kNotUtf8 = "refused 1007 Text is not UTF-8";
  EXPECT_EQ(events(client_frame_header(kFinText, 1000, "\0\0\0\0"sv) + "good \xce\xba\xed\xa0"),
            kNotUtf8);
  EXPECT_EQ(events(client_frame(kBeginText, "\xce\xba\xe1") + client_frame(kContinue, "\xbd\xb9") +
                   client_frame_header(kFinContinue, 5, "\0\0\0\0"sv) + "\xff"),
            kNotUtf8);
  for (std::size_t before = 0; before < 20; ++before) {
    EXPECT_EQ(events(client_frame(kFinText, std::string(before, 'a') + "\xf8" + "after")),
              kNotUtf8);
  }
}

TEST(WebSocketDecoder, RefusesTextThatEndsInsideACharacter) {
  const std::string kNotUtf8 = "refused 1007 Text is not UTF-8";
  EXPECT_EQ(events(client_frame(kFinText, "\xce")), kNotUtf8);
  EXPECT_EQ(events(client_frame(kBeginText, "\xf0\x9d") + client_frame(kFinContinue, "")),
            kNotUtf8);
  EXPECT_EQ(events(client_frame(kBeginText, "\xf0\x9d") + client_frame(kFinContinue, "ascii")),
            kNotUtf8);
}

TEST(WebSocketDecoder, TakesCharactersThatAreCutByFragments) {
  EXPECT_EQ(events(client_frame(kBeginText, "\xf0\x9d") + client_frame(kFinPing, "\xff") +
                   client_frame(kContinue, "\x84") + client_frame(kFinContinue, "\x9e")),
            "ping \xff; text 𝄞; ");
  EXPECT_EQ(events(client_frame(kFinBinary, "\xf0\x9d")), "binary \xf0\x9d; ");
}

// --- limits --------------------------------------------------------------------------------------

TEST(WebSocketDecoder, RefusesALongMessageByItsHeader) {
  WebSocketSetting ten{.max_size = 10};
  EXPECT_EQ(events(client_frame(kFinText, "0123456789"), ten), "text 0123456789; ");
  expect_refused({{"11", std::string("\x81\x8b", 2), 1009, "Message is too large"},
                  {"huge", std::string("\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff", 10), 1009,
                   "Message is too large"}},
                 ten);
  EXPECT_EQ(events(client_frame(kBeginText, "01234567") + client_frame(kContinue, "8") +
                       client_frame(kFinContinue, "9") + client_frame(kBeginText, "01234567") +
                       client_frame(kFinPing, std::string(20, 'p')) + "\x80\x83",
                   ten),
            "text 0123456789; ping pppppppppppppppppppp; refused 1009 Message is too large");
}

TEST(WebSocketDecoder, HasNoLimitWhenItIsOff) {
  std::string frame = client_frame(kFinBinary, std::string(3 << 20, 'x'));
  EXPECT_TRUE(trace_websocket(frame, {.max_size = 0}).events.starts_with("binary 3145728 bytes"));
}

TEST(WebSocketDecoder, TakesALimitThatIsLoweredInTheMiddle) {
  WebSocketDecoder decoder;
  std::string bytes = client_frame(kBeginText, "0123456789");
  EXPECT_EQ(decoder.next(bytes, 100).event, WebSocketDecoder::Event::NeedMore);
  bytes = client_frame(kFinContinue, "");
  auto step = decoder.next(bytes, 5);
  EXPECT_EQ(step.event, WebSocketDecoder::Event::Refused);
  EXPECT_EQ(step.code, close_code::kTooLarge);
}

// --- what it does with memory --------------------------------------------------------------------

TEST(WebSocketDecoder, HandsOutWholeMessagesWithoutACopy) {
  WebSocketDecoder decoder;
  std::string bytes = client_frame(kFinText, "Hello") + client_frame(kFinPing, "p");
  auto text = decoder.next(bytes, 100);
  EXPECT_EQ(text.data.data(), bytes.data() + 6);
  auto ping = decoder.next(std::span<char>(bytes).subspan(text.used), 100);
  EXPECT_EQ(ping.data.data(), bytes.data() + 17);
}

// --- random streams ------------------------------------------------------------------------------

std::string random_stream(std::mt19937& random) {
  auto below = [&](unsigned n) { return random() % n; };
  std::string bytes;
  for (unsigned messages = 1 + below(3); messages-- > 0;) {
    unsigned fragments = 1 + below(4);
    bool text = below(2) == 0;
    for (unsigned i = 0; i < fragments; ++i) {
      if (below(4) == 0) bytes += client_frame(kFinPing, std::string(below(10), 'p'));
      std::uint8_t opcode = i > 0 ? 0 : text ? 1 : 2;
      std::uint8_t fin = i + 1 == fragments ? 0x80 : 0;
      std::string payload;
      for (unsigned size = below(40); size-- > 0;) {
        payload += static_cast<char>(text ? 'a' + below(26) : below(256));
      }
      std::uint32_t key = random();
      bytes += client_frame(fin | opcode, payload, {reinterpret_cast<char*>(&key), 4});
    }
  }
  return bytes;
}

TEST(WebSocketDecoder, SaysTheSameOfDamagedStreamsHoweverTheyAreCut) {
  std::mt19937 random(1);
  for (int round = 0; round < 100; ++round) {
    std::string bytes = random_stream(random);
    EXPECT_EQ(events(bytes).find("BUT"), std::string::npos);
    EXPECT_EQ(events(bytes).find("refused"), std::string::npos);
    bytes[random() % bytes.size()] ^= static_cast<char>(1 << random() % 8);
    EXPECT_EQ(events(bytes).find("BUT"), std::string::npos) << events(bytes);
  }
}

}  // namespace
}  // namespace appd::http
