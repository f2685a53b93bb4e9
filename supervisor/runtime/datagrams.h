// Datagrams: text to somebody who may or may not listen.
#pragma once

#include <string_view>

#include "common/result.h"
#include "common/unique_fd.h"

namespace appd::runtime {

// Owns an UDP socket. One thread.
class Datagrams {
 public:
  // "127.0.0.1:8125", "[::1]:8125", "localhost:8125".
  static Result<Datagrams> open(std::string_view address);

  // Never waits. What cannot be sent is lost.
  void send(std::string_view text) const;

 private:
  explicit Datagrams(UniqueFd socket) : socket_(std::move(socket)) {}
  UniqueFd socket_;
};

}  // namespace appd::runtime
