// ResponseParser: reads HTTP/1.1 answers out of bytes, strictly. No I/O; knows no connection.
//
// What a lenient client would let pass (a bare LF, a second Content-Length, bytes after a chunk) is
// a fault here: the load client counts such answers as failed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace appd::load {

struct Response {
  int status = 0;
  bool keep_alive = true;
  std::vector<std::pair<std::string, std::string>> fields;  // names in lower case
  std::string body;

  // The first field of that name, or null.
  const std::string* field(std::string_view name) const;
};

// One answer at a time; begin() makes it ready for the next. One thread.
class ResponseParser {
 public:
  void begin();
  // Takes bytes up to the end of the answer at most, and says how many.
  std::size_t feed(std::string_view bytes);
  // The peer has closed. True if that was the proper end of the answer.
  bool finish();

  bool complete() const { return state_ == State::Complete; }
  bool malformed() const { return state_ == State::Malformed; }
  // Nothing of an answer has been read yet.
  bool untouched() const { return state_ == State::StatusLine && line_.empty(); }
  const std::string& fault() const { return fault_; }
  const Response& response() const { return response_; }

 private:
  enum class State {
    StatusLine,
    Field,
    Body,
    BodyToEnd,
    ChunkSize,
    Chunk,
    ChunkEnd,
    Trailer,
    Complete,
    Malformed
  };

  void take_line();
  void take_status_line();
  void take_field();
  void end_head();
  void take_chunk_size();
  void fail(std::string fault);

  State state_ = State::StatusLine;
  std::string line_;
  std::uint64_t left_ = 0;  // bytes of the body or chunk still to come
  bool http_1_0_ = false;
  std::string fault_;
  Response response_;
};

}  // namespace appd::load
