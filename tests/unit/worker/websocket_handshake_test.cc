// The opening handshake: RFC 6455 §4.2, RFC 7692 §5 and §7.1.
#include "worker/http/websocket_handshake.h"

#include <gtest/gtest.h>

#include <string>

namespace appd::http {
namespace {

using Fields = std::vector<std::pair<std::string, std::string>>;

const Fields kGood = {{"Host", "a"},
                      {"Upgrade", "websocket"},
                      {"Connection", "Upgrade"},
                      {"Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="},
                      {"Sec-WebSocket-Version", "13"}};

// kGood with some fields in other values, without those whose value is "-", and with more.
Fields good_but(Fields changes) {
  Fields fields;
  for (auto field : kGood) {
    for (auto& change : changes) {
      if (change.first == field.first) field = std::exchange(change, {});
    }
    if (field.second != "-") fields.push_back(field);
  }
  for (const auto& change : changes) {
    if (!change.first.empty()) fields.push_back(change);
  }
  return fields;
}

struct Read {
  UpgradeVerdict verdict = UpgradeVerdict::None;
  WebSocketHandshake handshake;
  Refusal refusal;
  std::string bytes;
  RequestHead head;
};

std::unique_ptr<Read> read(const Fields& fields, const std::string& line = "GET /chat HTTP/1.1") {
  auto read = std::make_unique<Read>();
  read->bytes = line + "\r\n";
  for (const auto& [name, value] : fields) {
    read->bytes.append(name).append(": ").append(value).append("\r\n");
  }
  read->bytes += "\r\n";
  EXPECT_TRUE(parse_head(read->bytes, {}, read->head, read->refusal)) << read->refusal.rule;
  read->verdict = read_websocket_handshake(read->head, read->handshake, read->refusal);
  return read;
}

std::string answer(const Read& read, std::string_view subprotocol = {},
                   std::vector<Field> fields = {}) {
  ResponseHead head;
  return std::string(
      write_websocket_answer(read.handshake, subprotocol, fields, "Date: now\r\n", head).view());
}

// The Sec-WebSocket-Extensions that an offer is answered with; empty when it is declined.
std::string negotiated(const Fields& offers) {
  auto got = read(good_but(offers));
  EXPECT_EQ(got->verdict, UpgradeVerdict::WebSocket) << got->refusal.rule;
  std::string text = answer(*got);
  std::size_t at = text.find("Sec-WebSocket-Extensions: ");
  if (at == std::string::npos) return {};
  at += 26;
  return text.substr(at, text.find('\r', at) - at);
}
std::string negotiated(const std::string& offer) {
  return negotiated(Fields{{"Sec-WebSocket-Extensions", offer}});
}

std::string refusal_of(const Fields& fields, const std::string& line = "GET / HTTP/1.1") {
  auto got = read(fields, line);
  if (got->verdict != UpgradeVerdict::Refused) return "not refused";
  return std::to_string(got->refusal.status) + " " + got->refusal.rule;
}

// §1.3 has this key and what follows from it.
TEST(WebSocketHandshake, AnswersTheExampleOfTheRfc) {
  auto got = read(kGood);
  ASSERT_EQ(got->verdict, UpgradeVerdict::WebSocket);
  EXPECT_EQ(answer(*got),
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
            "Server: appd\r\nDate: now\r\n\r\n");
}

// RFC 9110 §7.8: tokens in lists, in any case; over several fields.
TEST(WebSocketHandshake, FindsItsTokensInLists) {
  for (const Fields& fields : {
           good_but({{"Upgrade", "WebSocket"}, {"Connection", "UPGRADE"}}),
           good_but({{"Upgrade", "h2c, websocket"}, {"Connection", "keep-alive, Upgrade"}}),
           good_but({{"Connection", "keep-alive"}, {"connection", "upgrade"}}),
           good_but({{"Upgrade", "h2c"}, {"upgrade", "websocket"}}),
       }) {
    EXPECT_EQ(read(fields)->verdict, UpgradeVerdict::WebSocket) << read(fields)->bytes;
  }
}

TEST(WebSocketHandshake, LeavesOtherRequestsAlone) {
  for (const Fields& fields : {
           good_but({{"Upgrade", "-"}}),
           good_but({{"Connection", "-"}}),
           good_but({{"Connection", "keep-alive"}}),
           good_but({{"Upgrade", "h2c"}}),
           good_but({{"Upgrade", "websockets"}}),
           good_but({{"Upgrade", "web socket"}}),
           Fields{{"Host", "a"}},
       }) {
    EXPECT_EQ(read(fields)->verdict, UpgradeVerdict::None) << read(fields)->bytes;
  }
  EXPECT_EQ(read(kGood, "GET / HTTP/1.0")->verdict, UpgradeVerdict::None);
}

// §4.2.1 and §4.2.2
TEST(WebSocketHandshake, RefusesWhatIsNotWhole) {
  EXPECT_EQ(refusal_of(kGood, "POST / HTTP/1.1"), "400 WebSocket handshake is not a GET");
  EXPECT_EQ(refusal_of(kGood, "HEAD / HTTP/1.1"), "400 WebSocket handshake is not a GET");
  EXPECT_EQ(refusal_of(good_but({{"Content-Length", "5"}})), "400 WebSocket handshake has a body");
  EXPECT_EQ(refusal_of(good_but({{"Transfer-Encoding", "chunked"}})),
            "400 WebSocket handshake has a body");
  EXPECT_EQ(refusal_of(good_but({{"Sec-WebSocket-Version", "-"}})),
            "400 Sec-WebSocket-Version is missing");
  EXPECT_EQ(refusal_of(good_but({{"sec-websocket-version", "13"}})),
            "400 Sec-WebSocket-Version given twice");
  EXPECT_EQ(refusal_of(good_but({{"Sec-WebSocket-Key", "-"}})), "400 Sec-WebSocket-Key is missing");
  EXPECT_EQ(refusal_of(good_but({{"sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="}})),
            "400 Sec-WebSocket-Key given twice");
}

// §4.4: the answer to another version names ours.
TEST(WebSocketHandshake, SaysWhichVersionItSpeaks) {
  for (const char* version : {"8", "0", "14", "013", "13, 8", "x", ""}) {
    EXPECT_EQ(refusal_of(good_but({{"Sec-WebSocket-Version", version}})),
              "426 Sec-WebSocket-Version is not 13");
  }
  EXPECT_EQ(error_answer(426, "no", "Date: now\r\n", true),
            "HTTP/1.1 426 Upgrade Required\r\nServer: appd\r\nDate: now\r\n"
            "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            "Content-Type: text/plain; charset=utf-8\r\nContent-Length: 7\r\n"
            "Connection: close, upgrade\r\n\r\n426 no\n");
}

TEST(WebSocketHandshake, TakesOnlySixteenBytesInBase64AsAKey) {
  for (const char* key :
       {"", "dGhlIHNhbXBsZSBub25jZQ=", "dGhlIHNhbXBsZSBub25jZQ", "dGhlIHNhbXBsZSBub25jZQ===",
        "dGhlIHNhbXBsZSBub25jZQAA", "dGhlIHNhbXBsZSBub25jZQA=", "dGhlIHNhbXBsZSBub25j====",
        "dGhlIHNhbXBs=SBub25jZQ==", "dGhlIHNhbXBs_SBub25jZQ==", "dGhlIHNhbXBsZSBub25jZQ==AAAA"}) {
    EXPECT_EQ(refusal_of(good_but({{"Sec-WebSocket-Key", key}})),
              "400 Sec-WebSocket-Key is not 16 bytes in base64")
        << key;
  }
}

TEST(WebSocketHandshake, ListsTheSubprotocols) {
  auto got = read(good_but(
      {{"Sec-WebSocket-Protocol", "chat, ,superchat"}, {"sec-websocket-protocol", "v10.stomp"}}));
  EXPECT_EQ(got->handshake.subprotocols,
            (std::vector<std::string_view>{"chat", "superchat", "v10.stomp"}));
  for (const char* bad : {"a b", "a;b", "\"a\"", "a/b"}) {
    EXPECT_EQ(refusal_of(good_but({{"Sec-WebSocket-Protocol", bad}})),
              "400 Sec-WebSocket-Protocol is not a list of tokens")
        << bad;
  }
}

TEST(WebSocketHandshake, WritesTheAppsFieldsButNotOverItsOwn) {
  auto got = read(kGood);
  EXPECT_EQ(answer(*got, "chat",
                   {{"Set-Cookie", "a=b"},
                    {"sec-websocket-accept", "x"},
                    {"Sec-WebSocket-Protocol", "other"},
                    {"Sec-WebSocket-Extensions", "x"},
                    {"Connection", "close"},
                    {"Upgrade", "h2c"},
                    {"Transfer-Encoding", "chunked"},
                    {"Content-Length", "3"},
                    {"Server", "mine"}}),
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
            "Sec-WebSocket-Protocol: chat\r\nSet-Cookie: a=b\r\nServer: mine\r\nDate: now\r\n\r\n");
}

// --- permessage-deflate --------------------------------------------------------------------------

TEST(DeflateOffer, IsOnlyUsedWhenItIsOffered) {
  EXPECT_EQ(negotiated(Fields{}), "");
  EXPECT_EQ(negotiated(""), "");
  EXPECT_EQ(negotiated("x-webkit-deflate-frame, permessage-bzip2"), "");
}

// What browsers offer, and the plainest offer.
TEST(DeflateOffer, KeepsWindowsSmall) {
  EXPECT_EQ(negotiated("permessage-deflate; client_max_window_bits"),
            "permessage-deflate; server_max_window_bits=12; client_max_window_bits=12");
  // A client whose window we cannot choose must not rely on it between messages.
  EXPECT_EQ(negotiated("permessage-deflate"),
            "permessage-deflate; server_max_window_bits=12; client_no_context_takeover");
}

// RFC 7692 §7.1.1
TEST(DeflateOffer, GivesContextTakeoverUp) {
  EXPECT_EQ(negotiated("permessage-deflate; server_no_context_takeover; client_max_window_bits"),
            "permessage-deflate; server_max_window_bits=12; client_max_window_bits=12; "
            "server_no_context_takeover");
  EXPECT_EQ(negotiated("permessage-deflate; client_no_context_takeover; client_max_window_bits"),
            "permessage-deflate; server_max_window_bits=12; client_max_window_bits=12; "
            "client_no_context_takeover");
}

// RFC 7692 §7.1.2
TEST(DeflateOffer, NeverTakesALargerWindowThanOffered) {
  EXPECT_EQ(negotiated("permessage-deflate; server_max_window_bits=10; client_max_window_bits=9"),
            "permessage-deflate; server_max_window_bits=10; client_max_window_bits=9");
  EXPECT_EQ(negotiated("permessage-deflate; server_max_window_bits=15; client_max_window_bits=15"),
            "permessage-deflate; server_max_window_bits=12; client_max_window_bits=12");
  EXPECT_EQ(negotiated("permessage-deflate; client_max_window_bits=8"),
            "permessage-deflate; server_max_window_bits=12; client_max_window_bits=8");
  EXPECT_EQ(negotiated("permessage-deflate; server_max_window_bits=\"9\"; client_max_window_bits"),
            "permessage-deflate; server_max_window_bits=9; client_max_window_bits=12");
}

TEST(DeflateOffer, DeclinesAnOfferWithAnUnknownInvalidOrDuplicateParameter) {
  for (const char* parameters :
       {"server_max_window_bits=8", "server_max_window_bits=7", "server_max_window_bits=16",
        "server_max_window_bits=09", "server_max_window_bits=1O", "server_max_window_bits",
        "client_max_window_bits=7", "client_max_window_bits=16", "client_max_window_bits=x",
        "server_no_context_takeover=1", "client_no_context_takeover=true", "unknown", "unknown=1",
        "Server_No_Context_Takeover", "server_no_context_takeover; server_no_context_takeover",
        "client_no_context_takeover; client_no_context_takeover",
        "server_max_window_bits=10; server_max_window_bits=10",
        "client_max_window_bits; client_max_window_bits",
        "client_max_window_bits=10; client_max_window_bits"}) {
    std::string offer = std::string("permessage-deflate; ") + parameters;
    EXPECT_EQ(negotiated(offer), "") << offer;
    EXPECT_EQ(negotiated(offer + ", permessage-deflate; client_max_window_bits"),
              "permessage-deflate; server_max_window_bits=12; client_max_window_bits=12")
        << "the next offer counts after " << offer;
  }
}

// RFC 7692 §5: the first that is acceptable, over all fields.
TEST(DeflateOffer, TakesTheFirstAcceptableOffer) {
  EXPECT_EQ(negotiated(Fields{{"Sec-WebSocket-Extensions", "foo; a=\"b\", ,"},
                              {"sec-websocket-extensions",
                               " permessage-deflate ; server_max_window_bits = 9 ,bar, "
                               "permessage-deflate; server_max_window_bits=10"}}),
            "permessage-deflate; server_max_window_bits=9; client_no_context_takeover");
}

// RFC 6455 §9.1: what does not follow the grammar fails the connection.
TEST(DeflateOffer, IsRefusedWhenTheFieldIsMalformed) {
  for (const char* bad : {"permessage-deflate;", "permessage-deflate; ;", ";", "=",
                          "permessage-deflate; server_max_window_bits=", "permessage-deflate; =10",
                          "permessage-deflate server_max_window_bits", "\"permessage-deflate\"",
                          "foo; a=\"b", "foo; a=\"b c\"", "foo; a=\"\"", "foo/bar"}) {
    EXPECT_EQ(refusal_of(good_but({{"Sec-WebSocket-Extensions", bad}})),
              "400 Sec-WebSocket-Extensions is malformed")
        << bad;
  }
}

}  // namespace
}  // namespace appd::http
