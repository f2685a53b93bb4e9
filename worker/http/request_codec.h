// RequestCodec: the requests of one HTTP/1.1 connection, bytes in, events out. No I/O.
//
// The caller keeps the bytes. It shows what it has, is told what happened and how many bytes are
// done with, and shows the rest again together with what comes next.
#pragma once

#include <string_view>

#include "worker/http/chunked_decoder.h"
#include "worker/http/head_scanner.h"
#include "worker/http/request_head.h"

namespace appd::http {

// A value; belongs to one connection.
class RequestCodec {
 public:
  enum class Event {
    NeedMore,  // all of the input that can be used is used
    Head,      // `head` is filled; its views look into the input
    Body,      // `data` belongs to the body
    Complete,  // the request has ended; the next one may follow
    Refused,   // `refusal` says why; the connection is of no more use
  };
  struct Step {
    Event event;
    std::size_t used = 0;
    std::string_view data = {};
  };

  Step next(std::string_view input, const Limits& limits, RequestHead& head, Refusal& refusal);

  bool between_requests() const { return phase_ == Phase::Head; }

 private:
  enum class Phase : std::uint8_t { Head, NoBody, Length, Chunked };

  Phase phase_ = Phase::Head;
  HeadScanner scanner_;
  ChunkedDecoder chunked_;
  std::uint64_t left_ = 0;
};

}  // namespace appd::http
