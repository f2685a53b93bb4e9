// Options of the load client, from its command line. Values only.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <regex>
#include <string>
#include <vector>

#include "common/result.h"

namespace appd::load {

struct Options {
  std::string host = "127.0.0.1";  // a numeric address
  std::uint16_t port = 0;
  std::string unix_path;             // instead of host and port
  std::vector<std::string> targets;  // request targets, taken in turn
  std::uint32_t connections = 64;
  std::chrono::milliseconds duration{0};  // 0: until SIGTERM, or the end of stdin with --control
  std::uint64_t requests = 0;             // stop after so many; 0: no limit
  std::chrono::milliseconds think{0};     // pause of a connection between two requests
  std::chrono::milliseconds timeout{30'000};
  std::uint32_t pipeline = 1;      // requests outstanding on a connection
  bool fresh = false;              // a new connection for each request
  std::uint64_t upload_bytes = 0;  // POST a chunked body of this size
  std::uint32_t chunk_bytes = 4096;
  std::chrono::milliseconds chunk_pause{0};
  int expect_status = 200;
  std::optional<std::regex> expect_body;
  bool expect_echo = false;     // the answer's body is the uploaded one
  bool require_number = false;  // the answer must carry our X-Request-Number
  std::string collect;          // count the values of this response header
  std::size_t examples = 10;    // of failures that the report describes
  bool mark = false;            // the target carries the number too: "n=NUMBER" in its query
  bool plain = false;           // requests carry Host and nothing else
  bool control = false;         // stdin: a line asks for a snapshot, its end ends the run
  bool json = false;
};

// Usage text, then the reason, when the arguments make no sense.
std::string usage();
Result<Options> parse_options(int argc, char** argv);

}  // namespace appd::load
