// One byte of framing at a time; data in runs.
#include "worker/http/chunked_decoder.h"

#include <algorithm>

#include "worker/http/charset.h"

namespace appd::http {
namespace {

constexpr std::uint32_t kMaxOverhead = 16 * 1024;
constexpr std::uint8_t kMaxDigits = 16;
constexpr std::uint64_t kMaxChunk = std::uint64_t{1} << 60;

constexpr const char* kBadSize = "Chunk size is not a hexadecimal number and CR LF";
constexpr const char* kBadExtension = "Chunk extension is malformed";
constexpr const char* kBadFeed = "CR without LF in chunked framing";
constexpr const char* kBadEnd = "Chunk data does not end with CR LF";
constexpr const char* kBadTrailer = "Trailer field is malformed";
constexpr const char* kOverhead = "Chunk extensions and trailers longer than 16384 bytes";
constexpr const char* kTooLarge = "limit_request_body";

int hex_value(unsigned char c) {
  if (c >= '0' && c <= '9') return c - '0';
  c |= 0x20;
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

}  // namespace

ChunkedDecoder::Step ChunkedDecoder::next(std::string_view input, const Limits& limits,
                                          Refusal& refusal) {
  std::size_t at = 0;
  while (at < input.size()) {
    if (state_ == State::Data) {
      std::string_view data = input.substr(
          at, static_cast<std::size_t>(std::min<std::uint64_t>(left_, input.size() - at)));
      left_ -= data.size();
      if (left_ == 0) state_ = State::DataReturn;
      return {Event::Data, at + data.size(), data};
    }
    bool last = state_ == State::EndFeed;
    const char* broken = take(static_cast<unsigned char>(input[at++]), limits);
    if (broken == kTooLarge) {
      refusal = {413,
                 "Body larger than " + std::to_string(limits.body) + " bytes (limit_request_body)"};
      return {Event::Refused, at, {}};
    }
    if (broken != nullptr) {
      refusal = {broken == kOverhead ? 431 : 400, broken};
      return {Event::Refused, at, {}};
    }
    if (last) return {Event::Complete, at, {}};
  }
  return {Event::NeedMore, at, {}};
}

// Returns the rule that the byte breaks, or nullptr.
const char* ChunkedDecoder::take(unsigned char c, const Limits& limits) {
  switch (state_) {
    case State::SizeFirst:
    case State::Size:
    case State::SizeSpace:
    case State::SizeFeed:
      return take_size(c, limits);
    case State::ExtensionFirst:
    case State::ExtensionName:
    case State::ExtensionNameSpace:
    case State::ExtensionValueFirst:
    case State::ExtensionValue:
    case State::ExtensionQuoted:
    case State::ExtensionEscaped:
    case State::ExtensionSpace:
      return take_extension(c);
    case State::DataReturn:
      state_ = State::DataFeed;
      return c == '\r' ? nullptr : kBadEnd;
    case State::DataFeed:
      state_ = State::SizeFirst;
      return c == '\n' ? nullptr : kBadEnd;
    case State::TrailerFirst:
    case State::TrailerName:
    case State::TrailerValue:
    case State::TrailerFeed:
      return take_trailer(c);
    case State::EndFeed:
      return c == '\n' ? nullptr : kBadFeed;
    case State::Data:
      break;
  }
  return kBadSize;  // data never comes here
}

const char* ChunkedDecoder::take_size(unsigned char c, const Limits& limits) {
  if (state_ == State::SizeFeed) {
    if (c != '\n') return kBadFeed;
    state_ = left_ == 0 ? State::TrailerFirst : State::Data;
    digits_ = 0;
    total_ += left_;
    return limits.body != 0 && total_ > limits.body ? kTooLarge : nullptr;
  }
  int digit = hex_value(c);
  if (digit >= 0 && state_ != State::SizeSpace) {
    if (++digits_ > kMaxDigits) return kBadSize;
    left_ = left_ * 16 + static_cast<unsigned>(digit);
    state_ = State::Size;
    return left_ > kMaxChunk ? kBadSize : nullptr;
  }
  if (state_ == State::SizeFirst) return kBadSize;
  if (c == ';') {
    state_ = State::ExtensionFirst;
  } else if (c == ' ' || c == '\t') {  // RFC 9112 §7.1.1: white space only before ';'
    if (++overhead_ > kMaxOverhead) return kOverhead;
    state_ = State::SizeSpace;
  } else if (c == '\r' && state_ == State::Size) {
    state_ = State::SizeFeed;
  } else {
    return kBadSize;
  }
  return nullptr;
}

// ";" BWS name [ BWS "=" BWS ( token / quoted-string ) ], any number of them (RFC 9112 §7.1.1).
const char* ChunkedDecoder::take_extension(unsigned char c) {
  if (++overhead_ > kMaxOverhead) return kOverhead;
  bool space = c == ' ' || c == '\t';
  bool token = (kCharClasses[c] & kToken) != 0;
  bool text = (kCharClasses[c] & kFieldValue) != 0;
  // What may follow a name or a value.
  auto end = [&](State after_space) {
    if (c == '\r') {
      state_ = State::SizeFeed;
    } else if (c == ';') {
      state_ = State::ExtensionFirst;
    } else if (space) {
      state_ = after_space;
    } else {
      return kBadExtension;
    }
    return static_cast<const char*>(nullptr);
  };
  switch (state_) {
    case State::ExtensionFirst:
      if (token) state_ = State::ExtensionName;
      return token || space ? nullptr : kBadExtension;
    case State::ExtensionName:
      if (token) return nullptr;
      [[fallthrough]];
    case State::ExtensionNameSpace:
      if (c != '=') return end(State::ExtensionNameSpace);
      state_ = State::ExtensionValueFirst;
      return nullptr;
    case State::ExtensionValueFirst:
      if (c == '"') state_ = State::ExtensionQuoted;
      if (token) state_ = State::ExtensionValue;
      return token || space || c == '"' ? nullptr : kBadExtension;
    case State::ExtensionValue:
      return token ? nullptr : end(State::ExtensionSpace);
    case State::ExtensionQuoted:
      if (c == '"') state_ = State::ExtensionSpace;
      if (c == '\\') state_ = State::ExtensionEscaped;
      return text ? nullptr : kBadExtension;
    case State::ExtensionEscaped:
      state_ = State::ExtensionQuoted;
      return text ? nullptr : kBadExtension;
    default:
      return end(State::ExtensionSpace);
  }
}

const char* ChunkedDecoder::take_trailer(unsigned char c) {
  if (++overhead_ > kMaxOverhead) return kOverhead;
  switch (state_) {
    case State::TrailerFirst:
      if (c == '\r') {
        state_ = State::EndFeed;
        return nullptr;
      }
      state_ = State::TrailerName;
      return (kCharClasses[c] & kToken) != 0 ? nullptr : kBadTrailer;
    case State::TrailerName:
      if (c == ':') {
        state_ = State::TrailerValue;
        return nullptr;
      }
      return (kCharClasses[c] & kToken) != 0 ? nullptr : kBadTrailer;
    case State::TrailerValue:
      if (c == '\r') {
        state_ = State::TrailerFeed;
        return nullptr;
      }
      return (kCharClasses[c] & kFieldValue) != 0 ? nullptr : kBadTrailer;
    default:
      state_ = State::TrailerFirst;
      return c == '\n' ? nullptr : kBadFeed;
  }
}

}  // namespace appd::http
