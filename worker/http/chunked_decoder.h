// ChunkedDecoder: a chunked request body, bytes in, data out (RFC 9112 §7.1).
//
// llhttp 8.1 takes bare line feeds and loose white space here, which is how requests are smuggled;
// so this small strict machine does it instead. Extensions and trailers are checked and dropped.
#pragma once

#include <cstdint>
#include <string_view>

#include "worker/http/limits.h"

namespace appd::http {

// A value; belongs to one request.
class ChunkedDecoder {
 public:
  enum class Event { NeedMore, Data, Complete, Refused };
  struct Step {
    Event event;
    std::size_t used;       // bytes of the input that are done with
    std::string_view data;  // of Event::Data
  };

  // Takes bytes up to the next event.
  Step next(std::string_view input, const Limits& limits, Refusal& refusal);

 private:
  enum class State : std::uint8_t {
    SizeFirst,
    Size,
    SizeSpace,
    ExtensionFirst,
    ExtensionName,
    ExtensionNameSpace,
    ExtensionValueFirst,
    ExtensionValue,
    ExtensionQuoted,
    ExtensionEscaped,
    ExtensionSpace,
    SizeFeed,
    Data,
    DataReturn,
    DataFeed,
    TrailerFirst,
    TrailerName,
    TrailerValue,
    TrailerFeed,
    EndFeed,
  };
  const char* take(unsigned char c, const Limits& limits);
  const char* take_size(unsigned char c, const Limits& limits);
  const char* take_extension(unsigned char c);
  const char* take_trailer(unsigned char c);

  State state_ = State::SizeFirst;
  std::uint8_t digits_ = 0;
  std::uint32_t overhead_ = 0;  // bytes of extensions and trailers
  std::uint64_t left_ = 0;      // of the chunk
  std::uint64_t total_ = 0;
};

}  // namespace appd::http
