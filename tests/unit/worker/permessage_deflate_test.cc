// Compressed messages: RFC 7692 §6 and §7, round trips, and bombs.
#include "worker/http/permessage_deflate.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <random>

#include "tests/unit/worker/heap_use.h"
#include "tests/unit/worker/websocket_trace.h"
#include "worker/http/websocket_codec.h"

namespace appd::http {
namespace {

using namespace std::string_view_literals;
using Event = WebSocketDecoder::Event;
using Kind = WebSocketEncoder::Kind;

const WebSocketSetting kDeflate{.deflate = DeflateParameters{}};

std::string events(const std::string& bytes, const WebSocketSetting& setting = kDeflate) {
  return trace_in_every_way(bytes, setting).events;
}

// --- the examples of RFC 7692 §7.2.3 -------------------------------------------------------------

TEST(PermessageDeflate, ReadsTheExamplesOfTheRfc) {
  EXPECT_EQ(events(client_frame(kFinTextDeflated, "\xf2\x48\xcd\xc9\xc9\x07\x00"sv)),
            "text Hello; ");
  EXPECT_EQ(
      events(client_frame(0x41, "\xf2\x48\xcd") + client_frame(kFinContinue, "\xc9\xc9\x07\x00"sv)),
      "text Hello; ");
  std::string with_context = client_frame(kFinTextDeflated, "\xf2\x48\xcd\xc9\xc9\x07\x00"sv) +
                             client_frame(kFinTextDeflated, "\xf2\x00\x11\x00\x00"sv);
  EXPECT_EQ(events(with_context), "text Hello; text Hello; ");
  EXPECT_EQ(
      events(client_frame(kFinTextDeflated, "\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00"sv)),
      "text Hello; ")
      << "a block without compression";
  std::string last_block = client_frame(kFinTextDeflated, "\xf3\x48\xcd\xc9\xc9\x07\x00\x00"sv);
  EXPECT_EQ(events(last_block + last_block), "text Hello; text Hello; ") << "BFINAL is set";
  EXPECT_EQ(events(last_block + client_frame(kFinTextDeflated, "\xf2\x00\x11\x00\x00"sv)),
            "text Hello; text Hello; ")
      << "the window outlives a last block";
  EXPECT_EQ(events(client_frame(kFinTextDeflated,
                                "\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00"sv)),
            "text Hello; ")
      << "two blocks";
  EXPECT_EQ(events(client_frame(kFinTextDeflated, "\x00"sv)), "text ; ");
}

TEST(PermessageDeflate, TakesMessagesThatAreNotCompressed) {
  EXPECT_EQ(events(client_frame(kFinText, "plain") +
                   client_frame(kFinTextDeflated, "\xf2\x48\xcd\xc9\xc9\x07\x00"sv) +
                   client_frame(kFinBinary, "plain")),
            "text plain; text Hello; binary plain; ");
}

TEST(PermessageDeflate, TakesControlFramesInsideACompressedMessage) {
  EXPECT_EQ(events(client_frame(0x41, "\xf2\x48\xcd") + client_frame(kFinPing, "p") +
                   client_frame(kFinContinue, "\xc9\xc9\x07\x00"sv)),
            "ping p; text Hello; ");
}

// --- what is refused -----------------------------------------------------------------------------

// RFC 7692 §6.1: on a message's first frame only.
TEST(PermessageDeflate, RefusesTheBitWhereItMeansNothing) {
  for (std::uint8_t first : {kFinPing, kFinPong, kFinClose}) {
    EXPECT_EQ(events(client_frame(first | 0x40, "")), "refused 1002 Reserved bit is set");
  }
  EXPECT_EQ(events(client_frame(kBeginText, "a") + client_frame(0x40, "b")),
            "refused 1002 Reserved bit is set");
  EXPECT_EQ(events(client_frame(0x41, "\xf2\x48\xcd") + client_frame(0xc0, "\xc9\xc9\x07\x00"sv)),
            "refused 1002 Reserved bit is set");
  EXPECT_EQ(events(client_frame(0xa1, "")), "refused 1002 Reserved bit is set");
}

TEST(PermessageDeflate, RefusesBrokenData) {
  const std::string kBroken = "refused 1007 Compressed data is broken";
  EXPECT_EQ(events(client_frame(kFinTextDeflated, "\x06")), kBroken) << "no such block";
  EXPECT_EQ(events(client_frame(kFinTextDeflated, "\x00\x05\x00\xfb\xff"sv)), kBroken);
  EXPECT_EQ(events(client_frame(kFinTextDeflated, "\xf2\x48\xcd")), kBroken) << "cut short";
  EXPECT_EQ(events(client_frame(kFinTextDeflated, "")), kBroken) << "not even an empty block";
  EXPECT_EQ(events(client_frame(kFinTextDeflated, "\xf2\x00\x11\x00\x00"sv)), kBroken)
      << "refers to what never was";
}

TEST(PermessageDeflate, HasNoContextWhenItWasGivenUp) {
  std::string with_context = client_frame(kFinTextDeflated, "\xf2\x48\xcd\xc9\xc9\x07\x00"sv) +
                             client_frame(kFinTextDeflated, "\xf2\x00\x11\x00\x00"sv);
  EXPECT_EQ(events(with_context, {.deflate = DeflateParameters{.client_context_takeover = false}}),
            "text Hello; refused 1007 Compressed data is broken");
}

// --- round trips ---------------------------------------------------------------------------------

// A client's side of the same: it compresses as we do, and what we compress it can read.
class Client {
 public:
  explicit Client(const DeflateParameters& parameters)
      : deflater_(DeflateParameters{
            .server_window_bits = std::max<std::uint8_t>(parameters.client_window_bits, 9),
            .server_context_takeover = parameters.client_context_takeover}),
        inflater_(
            DeflateParameters{.client_window_bits = parameters.server_window_bits,
                              .client_context_takeover = parameters.server_context_takeover}) {}

  std::string frame(std::string_view message) {
    ByteBuffer out;
    bool compressed = deflater_.compress(message, out);
    return client_frame(compressed ? kFinBinaryDeflated : kFinBinary,
                        compressed ? out.view() : message);
  }
  // The message in a frame of the server's.
  std::string read(std::string_view frame) {
    bool compressed = (frame[0] & 0x40) != 0;
    int code = frame[1] & 0x7f;
    frame.remove_prefix(code == 127 ? 10 : code == 126 ? 4 : 2);
    if (!compressed) return std::string(frame);
    ByteBuffer out;
    EXPECT_EQ(inflater_.add(frame, 1 << 30, out), Inflater::Verdict::Good);
    EXPECT_EQ(inflater_.end(1 << 30, out), Inflater::Verdict::Good);
    return std::string(out.view());
  }

 private:
  Deflater deflater_;
  Inflater inflater_;
};

std::string random_message(std::mt19937& random) {
  static const std::vector<std::string> kWords = {"\"player\":", "\"move\":", "[1,2,3],",
                                                  "{",           "}",         "xyz"};
  std::string message;
  std::size_t size = random() % 10 == 0 ? random() % 100'000 : random() % 2000;
  bool is_noise = random() % 5 == 0;
  while (message.size() < size) {
    if (is_noise) message += static_cast<char>(random());
    if (!is_noise) message += kWords[random() % kWords.size()];
  }
  return message;
}

void exchange_messages(const DeflateParameters& parameters) {
  std::mt19937 random(7);
  Client client(parameters);
  WebSocketEncoder encoder(parameters);
  WebSocketDecoder decoder(parameters);
  for (int round = 0; round < 300; ++round) {
    std::string message = random_message(random);
    ByteBuffer out;
    std::string_view rest = encoder.message(Kind::Binary, message, out);
    ASSERT_EQ(client.read(std::string(out.view()).append(rest)), message) << round;

    std::string frame = client.frame(message);
    std::size_t cut = random() % frame.size();
    auto input = std::span<char>(frame);
    ASSERT_EQ(decoder.next(input.first(cut), 1 << 20).event, Event::NeedMore);
    auto step = decoder.next(input.subspan(cut), 1 << 20);
    ASSERT_EQ(step.event, Event::Binary) << step.data;
    ASSERT_EQ(step.data, message);
    ASSERT_EQ(decoder.next({}, 1 << 20).event, Event::NeedMore);
    if (random() % 5 == 0) encoder.release();
    if (random() % 5 == 0) decoder.release();
  }
}

TEST(PermessageDeflate, CarriesMessagesBothWaysUnderEveryAgreement) {
  for (std::uint8_t bits : {9, 10, 12, 15}) {
    for (bool takeover : {true, false}) {
      SCOPED_TRACE(testing::Message() << int{bits} << " " << takeover);
      exchange_messages({bits, bits, takeover, takeover});
    }
  }
  exchange_messages({12, 8, true, true});
}

TEST(PermessageDeflate, LeavesSmallMessagesAsTheyAre) {
  WebSocketEncoder encoder(DeflateParameters{});
  ByteBuffer out;
  EXPECT_TRUE(encoder.message(Kind::Text, "Hello", out).empty());
  EXPECT_EQ(out.view(), "\x81\x05Hello");
}

TEST(PermessageDeflate, LeavesMessagesThatDoNotGetSmallerAsTheyAre) {
  std::mt19937 random(3);
  std::string noise;
  for (int i = 0; i < 500; ++i) noise += static_cast<char>(random());
  WebSocketEncoder encoder(DeflateParameters{});
  ByteBuffer out;
  EXPECT_TRUE(encoder.message(Kind::Binary, noise, out).empty());
  EXPECT_EQ(out.view(), "\x82\x7e\x01\xf4" + noise);
}

TEST(PermessageDeflate, WritesTheHeaderThatTheCompressedSizeNeeds) {
  for (std::size_t size : {300, 60'000, 70'000, 10'000'000}) {
    WebSocketEncoder encoder(DeflateParameters{});
    ByteBuffer out;
    out.append("before");
    std::string message(size, 'm');
    EXPECT_TRUE(encoder.message(Kind::Text, message, out).empty());
    std::string frame(out.view());
    EXPECT_EQ(frame.substr(0, 7), "before\xc1");
    EXPECT_EQ(Client(DeflateParameters{}).read(std::string_view(frame).substr(6)), message);
  }
}

TEST(PermessageDeflate, SaysTheSameOfDamagedStreamsHoweverTheyAreCut) {
  std::mt19937 random(5);
  for (int round = 0; round < 60; ++round) {
    Client client(DeflateParameters{});
    std::string bytes;
    for (int message = 0; message < 3; ++message) {
      bytes += client.frame(random_message(random).substr(0, 200));
    }
    EXPECT_EQ(events(bytes).find("BUT"), std::string::npos);
    EXPECT_EQ(events(bytes).find("refused"), std::string::npos);
    bytes[random() % bytes.size()] ^= static_cast<char>(1 << random() % 8);
    EXPECT_EQ(events(bytes).find("BUT"), std::string::npos) << events(bytes);
  }
}

// --- limits --------------------------------------------------------------------------------------

TEST(PermessageDeflate, CountsWhatAMessageIsOnceItIsDecompressed) {
  std::string message(1000, 'm');
  std::string frame = Client(DeflateParameters{}).frame(message);
  EXPECT_TRUE(events(frame, {.max_size = 1000, .deflate = DeflateParameters{}})
                  .starts_with("binary 1000 bytes"));
  EXPECT_EQ(events(frame, {.max_size = 999, .deflate = DeflateParameters{}}),
            "refused 1009 Message is too large");
}

// As much zeros as one can put into a byte: what level 9 makes of 16 MiB, over and over.
std::string make_bomb(std::size_t blown) {
  std::string zeros(1 << 24, '\0');
  z_stream stream{};
  EXPECT_EQ(::deflateInit2(&stream, 9, Z_DEFLATED, -15, 9, Z_DEFAULT_STRATEGY), Z_OK);
  auto deflate_zeros = [&] {
    std::string piece(1 << 16, '\0');
    stream.next_in = reinterpret_cast<Bytef*>(zeros.data());
    stream.avail_in = static_cast<uInt>(zeros.size());
    stream.next_out = reinterpret_cast<Bytef*>(piece.data());
    stream.avail_out = static_cast<uInt>(piece.size());
    EXPECT_EQ(::deflate(&stream, Z_SYNC_FLUSH), Z_OK);
    piece.resize(piece.size() - stream.avail_out);
    return piece;
  };
  std::string bomb = deflate_zeros();
  std::string piece = deflate_zeros();  // the window is full of zeros from now on
  ::deflateEnd(&stream);
  for (std::size_t made = zeros.size(); made < blown; made += zeros.size()) bomb += piece;
  return bomb;
}

TEST(PermessageDeflate, StopsABombAtTheLimit) {
  constexpr std::uint64_t kLimit = 1 << 20;
  DeflateParameters parameters{.client_window_bits = 15};
  std::string bomb = make_bomb(std::size_t{1} << 30);
  ASSERT_LT(bomb.size(), std::size_t{1100} << 10) << "1 MiB that stands for 1 GiB";

  std::string frame = client_frame(kFinBinaryDeflated, bomb);

  Inflater inflater(parameters);
  ByteBuffer out;
  test::HeapUse heap;
  EXPECT_EQ(inflater.add(bomb, kLimit, out), Inflater::Verdict::TooLarge);
  EXPECT_EQ(out.size(), kLimit + 1);
  EXPECT_LE(heap.peak(), 4 * kLimit);

  EXPECT_EQ(trace_websocket(frame, {.max_size = kLimit, .deflate = parameters}).events,
            "refused 1009 Message is too large");
}

}  // namespace
}  // namespace appd::http
