// Frames, byte by byte in the header and in runs in the payload.
#include "worker/http/websocket_codec.h"

#include <algorithm>
#include <cassert>
#include <cstring>

namespace appd::http {
namespace {

// RFC 6455 §5.2, §11.8
enum Opcode : std::uint8_t {
  kContinuation = 0x0,
  kText = 0x1,
  kBinary = 0x2,
  kClose = 0x8,
  kPing = 0x9,
  kPong = 0xa,
};
constexpr std::uint8_t kFin = 0x80;
constexpr std::uint8_t kRsv1 = 0x40;  // the message is compressed (RFC 7692 §6)
constexpr std::uint8_t kRsv2And3 = 0x30;
constexpr std::uint8_t kOpcode = 0x0f;
constexpr std::uint8_t kMask = 0x80;
constexpr std::uint8_t kLength16 = 126;
constexpr std::uint8_t kLength64 = 127;
constexpr std::size_t kMaxHeader = 10;  // of what we send: no key

constexpr std::uint64_t kUnlimited = std::uint64_t{1} << 62;

// Takes the mask off in place, whole words at a time (§5.3). `key` begins with the byte that is
// next. True: what came out is all ASCII.
bool unmask(std::span<char> bytes, std::array<unsigned char, 4> key) {
  std::uint32_t key_word;
  std::memcpy(&key_word, key.data(), sizeof(key_word));
  std::uint64_t key_words = std::uint64_t{key_word} << 32 | key_word;
  std::uint64_t seen = 0;
  char* at = bytes.data();
  char* end = at + bytes.size();
  for (; end - at >= 8; at += 8) {
    std::uint64_t word;
    std::memcpy(&word, at, sizeof(word));
    word ^= key_words;
    seen |= word;
    std::memcpy(at, &word, sizeof(word));
  }
  for (std::size_t i = 0; at < end; ++at, ++i) {
    *at = static_cast<char>(*at ^ key[i % 4]);
    seen |= static_cast<unsigned char>(*at);
  }
  return (seen & 0x8080808080808080U) == 0;
}

std::size_t header_size(std::uint64_t payload) {
  if (payload < kLength16) return 2;
  return payload <= 0xffff ? 4 : kMaxHeader;
}

void write_header(char* at, std::uint8_t first, std::uint64_t payload) {
  std::size_t size = header_size(payload);
  *at++ = static_cast<char>(first);
  if (size == 2) {
    *at = static_cast<char>(payload);
    return;
  }
  *at++ = static_cast<char>(size == 4 ? kLength16 : kLength64);
  for (std::size_t left = size - 2; left-- > 0;) *at++ = static_cast<char>(payload >> 8 * left);
}

void put_header(std::uint8_t first, std::uint64_t payload, ByteBuffer& out) {
  write_header(out.room().data(), first, payload);
  out.take(header_size(payload));
}

void put_control(Opcode opcode, std::string_view payload, ByteBuffer& out) {
  assert(payload.size() <= kMaxControlPayload);
  out.reserve(kMaxHeader + payload.size());
  put_header(kFin | opcode, payload.size(), out);
  out.put(payload);
}

}  // namespace

bool is_close_code(std::uint16_t code) {
  return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
         (code >= 3000 && code <= 4999);
}

// --- WebSocketDecoder ----------------------------------------------------------------------------

struct WebSocketDecoder::Fault {
  std::uint16_t code;
  std::string_view reason;  // fits into a close frame
};
const WebSocketDecoder::Fault WebSocketDecoder::kNotUtf8{close_code::kBadData, "Text is not UTF-8"};
const WebSocketDecoder::Fault WebSocketDecoder::kMessageTooLarge{close_code::kTooLarge,
                                                                 "Message is too large"};

WebSocketDecoder::Step WebSocketDecoder::next(std::span<char> input, std::uint64_t max_size) {
  forget_delivered();
  if (max_size == 0) max_size = kUnlimited;
  std::size_t at = 0;
  for (;;) {
    if (phase_ == Phase::Ended) return {Event::NeedMore, input.size()};
    while (phase_ != Phase::Payload) {
      if (at == input.size()) return {Event::NeedMore, at};
      const Fault* fault = take_header(static_cast<unsigned char>(input[at++]), max_size);
      if (fault != nullptr) return refuse(*fault, at);
    }
    auto size = static_cast<std::size_t>(std::min<std::uint64_t>(left_, input.size() - at));
    auto masked = input.subspan(at, size);
    bool is_ascii = unmask(masked, key_);
    std::string_view piece(masked.data(), masked.size());
    at += size;
    left_ -= size;
    if (left_ > 0) {
      auto key = key_;
      for (std::size_t i = 0; i < key.size(); ++i) key_[i] = key[(i + size) % key.size()];
    }
    if (is_control()) {
      if (left_ == 0) return end_control(piece, at);
      buffer_.append(piece);
      control_size_ = static_cast<std::uint8_t>(control_size_ + size);
      return {Event::NeedMore, at};
    }
    const Fault* fault = take_data(piece, is_ascii, max_size);
    if (fault != nullptr) return refuse(*fault, at);
    if (left_ > 0) return {Event::NeedMore, at};
    phase_ = Phase::First;
    if (is_last()) return end_message(piece, at);
  }
}

// What the last call has handed out is not looked at any more.
void WebSocketDecoder::forget_delivered() {
  if (phase_ == Phase::Ended) {
    buffer_ = {};
    inflater_.reset();
  } else if (phase_ == Phase::First) {
    buffer_.truncate(buffer_.size() - control_size_);
    control_size_ = 0;
    if (between_messages()) buffer_ = {};
  }
}

void WebSocketDecoder::release() {
  if (between_messages() && inflater_ != nullptr) inflater_->release();
}

WebSocketDecoder::Step WebSocketDecoder::refuse(const Fault& fault, std::size_t used) {
  phase_ = Phase::Ended;
  forget_delivered();
  return {Event::Refused, used, fault.reason, fault.code};
}

// Each byte is judged when it comes, so that the verdict is the same under any segmentation.
const WebSocketDecoder::Fault* WebSocketDecoder::take_header(unsigned char c,
                                                             std::uint64_t max_size) {
  switch (phase_) {
    case Phase::First:
      return take_first(c);
    case Phase::Second:
      return take_second(c, max_size);
    case Phase::Length:
      left_ = left_ << 8 | c;
      return --header_left_ == 0 ? check_length(max_size) : nullptr;
    case Phase::Key:
      key_[key_.size() - header_left_] = c;
      if (--header_left_ == 0) phase_ = Phase::Payload;
      return nullptr;
    case Phase::Payload:
    case Phase::Ended:
      break;
  }
  return nullptr;  // these never come here
}

const WebSocketDecoder::Fault* WebSocketDecoder::take_first(unsigned char c) {
  static constexpr Fault kReserved{close_code::kProtocolError, "Reserved bit is set"};
  static constexpr Fault kOpcodeUnknown{close_code::kProtocolError, "Opcode is reserved"};
  static constexpr Fault kControlFragment{close_code::kProtocolError,
                                          "Control frame is fragmented"};
  static constexpr Fault kNothingToContinue{close_code::kProtocolError,
                                            "Continuation without a message"};
  static constexpr Fault kInterrupted{close_code::kProtocolError,
                                      "New message inside a fragmented one"};
  first_ = c;
  phase_ = Phase::Second;
  std::uint8_t opcode = c & kOpcode;
  if ((c & kRsv2And3) != 0) return &kReserved;
  if ((opcode > kBinary && opcode < kClose) || opcode > kPong) return &kOpcodeUnknown;
  bool begins = opcode == kText || opcode == kBinary;
  bool compressed = (c & kRsv1) != 0;
  if (compressed && !(begins && deflate_.has_value())) return &kReserved;  // RFC 7692 §6.1
  if (is_control()) return is_last() ? nullptr : &kControlFragment;        // §5.5
  if (!begins) return between_messages() ? &kNothingToContinue : nullptr;  // §5.4
  if (!between_messages()) return &kInterrupted;
  message_kind_ = opcode;
  compressed_ = compressed;
  utf8_ = {};
  return nullptr;
}

const WebSocketDecoder::Fault* WebSocketDecoder::take_second(unsigned char c,
                                                             std::uint64_t max_size) {
  static constexpr Fault kUnmasked{close_code::kProtocolError, "Frame is not masked"};
  static constexpr Fault kLongControl{close_code::kProtocolError,
                                      "Control frame is longer than 125 bytes"};
  static constexpr Fault kHalfCode{close_code::kProtocolError, "Close frame's payload is one byte"};
  if ((c & kMask) == 0) return &kUnmasked;  // §5.1
  length_code_ = c & ~kMask;
  if (is_control() && length_code_ > kMaxControlPayload) return &kLongControl;  // §5.5
  if ((first_ & kOpcode) == kClose && length_code_ == 1) return &kHalfCode;     // §5.5.1
  if (length_code_ < kLength16) {
    left_ = length_code_;
    return check_length(max_size);
  }
  left_ = 0;
  header_left_ = length_code_ == kLength16 ? 2 : 8;
  phase_ = Phase::Length;
  return nullptr;
}

const WebSocketDecoder::Fault* WebSocketDecoder::check_length(std::uint64_t max_size) {
  static constexpr Fault kNotMinimal{close_code::kProtocolError,
                                     "Length is not in its shortest form"};
  static constexpr Fault kTopBit{close_code::kProtocolError, "Length has its top bit set"};
  if (length_code_ == kLength64 && left_ >> 63 != 0) return &kTopBit;  // §5.2
  if ((length_code_ == kLength16 && left_ < kLength16) ||
      (length_code_ == kLength64 && left_ <= 0xffff)) {
    return &kNotMinimal;
  }
  // Compressed, a message of the permitted size may be longer than it is.
  if (!is_control() && !compressed_ && buffer_.size() + left_ > max_size) return &kMessageTooLarge;
  phase_ = Phase::Key;
  header_left_ = static_cast<std::uint8_t>(key_.size());
  return nullptr;
}

// The next unmasked bytes of a message; a message that is all here is left where it is.
const WebSocketDecoder::Fault* WebSocketDecoder::take_data(std::string_view piece, bool is_ascii,
                                                           std::uint64_t max_size) {
  bool complete = left_ == 0 && is_last();
  if (piece.empty() && !complete) return nullptr;
  if (compressed_) {
    const Fault* fault = inflate(piece, complete, max_size);
    if (fault != nullptr) return fault;
  } else {
    bool valid = message_kind_ != kText || (is_ascii && utf8_.complete()) || utf8_.take(piece);
    if (!valid) return &kNotUtf8;
    if (!complete || buffer_.size() > 0) buffer_.append(piece);
  }
  return complete && !utf8_.complete() ? &kNotUtf8 : nullptr;
}

const WebSocketDecoder::Fault* WebSocketDecoder::inflate(std::string_view piece, bool complete,
                                                         std::uint64_t max_size) {
  static constexpr Fault kBroken{close_code::kBadData, "Compressed data is broken"};
  static constexpr Fault kNoMemory{close_code::kInternalError, "Out of memory"};
  if (inflater_ == nullptr) inflater_ = std::make_unique<Inflater>(*deflate_);
  std::size_t begin = buffer_.size();
  Inflater::Verdict verdict = inflater_->add(piece, max_size, buffer_);
  if (complete && verdict == Inflater::Verdict::Good) verdict = inflater_->end(max_size, buffer_);
  // What came before the fault is judged first, as it is when it comes alone.
  if (message_kind_ == kText && !utf8_.take(buffer_.view().substr(begin))) return &kNotUtf8;
  switch (verdict) {
    case Inflater::Verdict::Good:
      return nullptr;
    case Inflater::Verdict::TooLarge:
      return &kMessageTooLarge;
    case Inflater::Verdict::Broken:
      return &kBroken;
    case Inflater::Verdict::NoMemory:
      break;
  }
  return &kNoMemory;
}

WebSocketDecoder::Step WebSocketDecoder::end_message(std::string_view piece, std::size_t used) {
  Event event = message_kind_ == kText ? Event::Text : Event::Binary;
  bool is_buffered = compressed_ || buffer_.size() > 0;
  message_kind_ = kNoMessage;
  return {event, used, is_buffered ? buffer_.view() : piece};
}

WebSocketDecoder::Step WebSocketDecoder::end_control(std::string_view piece, std::size_t used) {
  static constexpr Fault kBadCode{close_code::kProtocolError,
                                  "Close code is reserved or out of range"};
  static constexpr Fault kBadReason{close_code::kBadData, "Close reason is not UTF-8"};
  phase_ = Phase::First;
  if (control_size_ > 0) {
    buffer_.append(piece);
    control_size_ = static_cast<std::uint8_t>(control_size_ + piece.size());
    piece = buffer_.view().substr(buffer_.size() - control_size_);
  }
  std::uint8_t opcode = first_ & kOpcode;
  if (opcode != kClose) return {opcode == kPing ? Event::Ping : Event::Pong, used, piece};
  phase_ = Phase::Ended;
  if (piece.empty()) return {Event::Close, used, {}, close_code::kNone};  // §7.1.5
  auto byte = [&](std::size_t at) { return static_cast<unsigned char>(piece[at]); };
  auto code = static_cast<std::uint16_t>(byte(0) << 8 | byte(1));
  std::string_view reason = piece.substr(2);
  Utf8Check utf8;
  if (!is_close_code(code)) return refuse(kBadCode, used);
  if (!utf8.take(reason) || !utf8.complete()) return refuse(kBadReason, used);
  return {Event::Close, used, reason, code};
}

// --- WebSocketEncoder ----------------------------------------------------------------------------

std::string_view WebSocketEncoder::message(Kind kind, std::string_view payload, ByteBuffer& out) {
  // Below this a message is one packet either way, and compressing it (4 us) would take as long as
  // sending it.
  constexpr std::size_t kCompressFrom = 256;
  // Short payloads are copied, so that several messages can leave from one buffer. Beyond this the
  // copy takes longer than the kernel does over a second piece.
  constexpr std::size_t kCopyUpTo = 1024;
  if (deflate_.has_value() && payload.size() >= kCompressFrom && compress(kind, payload, out)) {
    return {};
  }
  bool copied = payload.size() <= kCopyUpTo;
  out.reserve(kMaxHeader + (copied ? payload.size() : 0));
  put_header(kFin | static_cast<std::uint8_t>(kind), payload.size(), out);
  if (!copied) return payload;
  out.put(payload);
  return {};
}

bool WebSocketEncoder::compress(Kind kind, std::string_view payload, ByteBuffer& out) {
  if (deflater_ == nullptr) deflater_ = std::make_unique<Deflater>(*deflate_);
  std::size_t begin = out.size();
  std::size_t header = header_size(payload.size());  // or less
  out.reserve(header);
  out.take(header);
  if (!deflater_->compress(payload, out)) {
    out.truncate(begin);
    return false;
  }
  std::size_t compressed = out.size() - begin - header;
  out.erase(begin, header - header_size(compressed));
  write_header(out.data() + begin, kFin | kRsv1 | static_cast<std::uint8_t>(kind), compressed);
  return true;
}

void WebSocketEncoder::ping(std::string_view payload, ByteBuffer& out) {
  put_control(kPing, payload, out);
}

void WebSocketEncoder::pong(std::string_view payload, ByteBuffer& out) {
  put_control(kPong, payload, out);
}

void WebSocketEncoder::close(std::uint16_t code, std::string_view reason, ByteBuffer& out) {
  if (code == close_code::kNone) return put_control(kClose, {}, out);
  if (reason.size() > kMaxCloseReason) {
    std::size_t end = kMaxCloseReason;
    auto continues = [&] { return (static_cast<unsigned char>(reason[end]) & 0xc0) == 0x80; };
    while (end > 0 && continues()) --end;
    reason = reason.substr(0, end);
  }
  std::array<char, kMaxControlPayload> payload;
  payload[0] = static_cast<char>(code >> 8);
  payload[1] = static_cast<char>(code);
  std::copy(reason.begin(), reason.end(), payload.begin() + 2);
  put_control(kClose, {payload.data(), 2 + reason.size()}, out);
}

}  // namespace appd::http
