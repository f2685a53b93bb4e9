// Header fields in, header fields out.
#include "worker/http/websocket_handshake.h"

#include <algorithm>
#include <utility>

#include "worker/http/charset.h"
#include "worker/http/sha1.h"

namespace appd::http {
namespace {

constexpr std::size_t kKeySize = 24;                                        // 16 bytes in base64
constexpr std::string_view kGuid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";  // RFC 6455 §1.3
constexpr std::string_view kBase64 =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

bool is_key(std::string_view key) {
  return key.size() == kKeySize && key.ends_with("==") &&
         key.find_first_not_of(kBase64) == kKeySize - 2;
}

// RFC 6455 §4.2.2, /accept/
std::array<char, 28> accept_of(std::string_view key) {
  std::array<char, kKeySize + kGuid.size()> text;
  std::copy(kGuid.begin(), kGuid.end(), std::copy(key.begin(), key.end(), text.begin()));
  auto digest = sha1({text.data(), text.size()});
  std::array<char, 28> accept;
  for (std::size_t group = 0; group < accept.size() / 4; ++group) {
    auto byte = [&](std::size_t i) {
      return group * 3 + i < digest.size() ? unsigned{digest[group * 3 + i]} : 0U;
    };
    unsigned bits = byte(0) << 16 | byte(1) << 8 | byte(2);
    for (std::size_t i = 0; i < 4; ++i) accept[group * 4 + i] = kBase64[bits >> (18 - 6 * i) & 63];
  }
  accept.back() = '=';  // 20 bytes are one short of whole groups
  return accept;
}

// --- permessage-deflate --------------------------------------------------------------------------

// Reads the words and marks of a field value, with white space between them (RFC 9110 §5.6).
class Words {
 public:
  explicit Words(std::string_view text) : text_(trim(text)) {}

  bool at_end() const { return text_.empty(); }
  bool take(char mark) {
    if (!text_.starts_with(mark)) return false;
    text_ = trim(text_.substr(1));
    return true;
  }
  // Empty: there is none.
  std::string_view token() {
    std::size_t size = 0;
    while (size < text_.size() && is_token(text_.substr(size, 1))) ++size;
    std::string_view token = text_.substr(0, size);
    text_ = trim(text_.substr(size));
    return token;
  }
  // A token, with or without quotation marks. What needed a backslash would be none.
  std::string_view value() {
    if (!text_.starts_with('"')) return token();
    std::size_t end = text_.find('"', 1);
    if (end == std::string_view::npos) return {};
    std::string_view value = text_.substr(1, end - 1);
    text_ = trim(text_.substr(end + 1));
    return is_token(value) ? value : std::string_view();
  }

 private:
  std::string_view text_;
};

// One offer of permessage-deflate while it is being read (RFC 7692 §7.1).
class DeflateOffer {
 public:
  // `value` is empty when there was no "=". False: the offer is to be declined.
  bool add(std::string_view name, std::string_view value) {
    if (name == "server_no_context_takeover") return flag(server_no_takeover_, value);
    if (name == "client_no_context_takeover") return flag(client_no_takeover_, value);
    if (name == "server_max_window_bits") return bits(server_bits_, value);
    if (name != "client_max_window_bits") return false;
    if (!value.empty()) return bits(client_bits_, value);
    return bits(client_bits_, "15");
  }

  // What we answer; nothing if we cannot. zlib does not compress with a window of 8 bits.
  std::optional<DeflateParameters> accepted() const {
    constexpr std::uint8_t kOurs = DeflateParameters::kWindowBits;
    if (server_bits_ == 8) return {};
    DeflateParameters parameters;
    if (server_bits_ != 0) parameters.server_window_bits = std::min(server_bits_, kOurs);
    parameters.server_context_takeover = !server_no_takeover_;
    // A client that does not let us choose (§7.1.2.2) has a window of 32 KiB, which we do not keep
    // for it between messages.
    bool can_choose = client_bits_ != 0;
    parameters.client_window_bits = can_choose ? std::min(client_bits_, kOurs) : std::uint8_t{15};
    parameters.client_context_takeover = can_choose && !client_no_takeover_;
    return parameters;
  }

 private:
  static bool flag(bool& seen, std::string_view value) {
    return value.empty() && !std::exchange(seen, true);
  }
  // From 8 to 15, without leading zeros.
  static bool bits(std::uint8_t& seen, std::string_view value) {
    constexpr std::array<std::string_view, 8> kNumbers{"8",  "9",  "10", "11",
                                                       "12", "13", "14", "15"};
    const auto* number = std::find(kNumbers.begin(), kNumbers.end(), value);
    if (number == kNumbers.end() || seen != 0) return false;
    seen = static_cast<std::uint8_t>(8 + (number - kNumbers.begin()));
    return true;
  }

  bool server_no_takeover_ = false;
  bool client_no_takeover_ = false;
  std::uint8_t server_bits_ = 0;
  std::uint8_t client_bits_ = 0;
};

// Reads one Sec-WebSocket-Extensions field. False: it is not what RFC 6455 §9.1 calls one.
bool read_extensions(std::string_view text, std::optional<DeflateParameters>& chosen) {
  Words words(text);
  while (!words.at_end()) {
    if (words.take(',')) continue;  // an empty element
    std::string_view extension = words.token();
    if (extension.empty()) return false;
    DeflateOffer offer;
    bool acceptable = extension == "permessage-deflate";
    while (words.take(';')) {
      std::string_view name = words.token();
      if (name.empty()) return false;
      std::string_view value;
      if (words.take('=')) {
        value = words.value();
        if (value.empty()) return false;
      }
      acceptable = acceptable && offer.add(name, value);
    }
    if (!words.at_end() && !words.take(',')) return false;
    if (acceptable && !chosen.has_value()) chosen = offer.accepted();
  }
  return true;
}

// --- the request ---------------------------------------------------------------------------------

bool read_subprotocols(std::string_view text, std::vector<std::string_view>& subprotocols) {
  Words words(text);
  while (!words.at_end()) {
    if (words.take(',')) continue;
    std::string_view subprotocol = words.token();
    if (subprotocol.empty()) return false;
    if (!words.at_end() && !words.take(',')) return false;
    subprotocols.push_back(subprotocol);
  }
  return true;
}

struct Seen {
  std::string_view key;
  std::string_view version;
  int keys = 0;
  int versions = 0;
};

UpgradeVerdict refuse(Refusal& refusal, int status, const char* rule) {
  refusal = {status, rule};
  return UpgradeVerdict::Refused;
}

bool names_websocket(const RequestHead& head) {
  return std::any_of(head.fields.begin(), head.fields.end(), [](const Field& field) {
    return equals_ignoring_case(field.name, "upgrade") && has_token(field.value, "websocket");
  });
}

}  // namespace

UpgradeVerdict read_websocket_handshake(const RequestHead& head, WebSocketHandshake& handshake,
                                        Refusal& refusal) {
  if (!head.asks_upgrade || !names_websocket(head)) return UpgradeVerdict::None;
  if (head.method != "GET") return refuse(refusal, 400, "WebSocket handshake is not a GET");
  if (head.body != BodyKind::None) return refuse(refusal, 400, "WebSocket handshake has a body");
  handshake.subprotocols.clear();
  handshake.deflate.reset();
  Seen seen;
  for (const auto& [name, value] : head.fields) {
    if (equals_ignoring_case(name, "sec-websocket-key")) {
      seen.key = value;
      ++seen.keys;
    } else if (equals_ignoring_case(name, "sec-websocket-version")) {
      seen.version = value;
      ++seen.versions;
    } else if (equals_ignoring_case(name, "sec-websocket-protocol")) {
      if (!read_subprotocols(value, handshake.subprotocols)) {
        return refuse(refusal, 400, "Sec-WebSocket-Protocol is not a list of tokens");
      }
    } else if (equals_ignoring_case(name, "sec-websocket-extensions")) {
      if (!read_extensions(value, handshake.deflate)) {
        return refuse(refusal, 400, "Sec-WebSocket-Extensions is malformed");
      }
    }
  }
  if (seen.versions == 0) return refuse(refusal, 400, "Sec-WebSocket-Version is missing");
  if (seen.versions > 1) return refuse(refusal, 400, "Sec-WebSocket-Version given twice");
  if (seen.version != "13") return refuse(refusal, 426, "Sec-WebSocket-Version is not 13");
  if (seen.keys == 0) return refuse(refusal, 400, "Sec-WebSocket-Key is missing");
  if (seen.keys > 1) return refuse(refusal, 400, "Sec-WebSocket-Key given twice");
  if (!is_key(seen.key)) return refuse(refusal, 400, "Sec-WebSocket-Key is not 16 bytes in base64");
  handshake.accept = accept_of(seen.key);
  return UpgradeVerdict::WebSocket;
}

// --- the answer ----------------------------------------------------------------------------------

namespace {

constexpr std::string_view kOurPrefix = "sec-websocket-";

bool is_ours(std::string_view name) {
  return equals_ignoring_case(name.substr(0, kOurPrefix.size()), kOurPrefix) ||
         equals_ignoring_case(name, "content-length");  // RFC 9110 §8.6
}

// The window of the answer is stated also when it was not asked for, as §7.1.2.1 of RFC 7692
// permits: the client may keep a smaller one.
void add_extension(const DeflateParameters& parameters, ResponseHead& head) {
  ByteBuffer text;
  text.append("permessage-deflate; server_max_window_bits=");
  text.reserve(ByteBuffer::kMaxDigits);
  text.put_number(parameters.server_window_bits);
  if (parameters.client_window_bits < 15) {
    text.append("; client_max_window_bits=");
    text.reserve(ByteBuffer::kMaxDigits);
    text.put_number(parameters.client_window_bits);
  }
  if (!parameters.server_context_takeover) text.append("; server_no_context_takeover");
  if (!parameters.client_context_takeover) text.append("; client_no_context_takeover");
  head.add("Sec-WebSocket-Extensions", text.view());
}

}  // namespace

ByteBuffer& write_websocket_answer(const WebSocketHandshake& handshake,
                                   std::string_view subprotocol, std::span<const Field> fields,
                                   std::string_view date, ResponseHead& head) {
  head.start_upgrade("websocket");
  head.add("Sec-WebSocket-Accept", {handshake.accept.data(), handshake.accept.size()});
  if (!subprotocol.empty()) head.add("Sec-WebSocket-Protocol", subprotocol);
  if (handshake.deflate.has_value()) add_extension(*handshake.deflate, head);
  for (const auto& [name, value] : fields) {
    if (!is_ours(name)) head.add(name, value);
  }
  return head.finish(Framing::NoBody, true, false, date);
}

}  // namespace appd::http
