// A blocking HTTP client for tests: one connection, bytes out, answers in, each with a deadline.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/unique_fd.h"

namespace appd::test {

struct Answer {
  int status = 0;
  std::string head;
  std::string body;
  bool closes() const { return head.find("Connection: close") != std::string::npos; }
};

// Owns its socket. One thread.
class HttpClient {
 public:
  // A small receive buffer makes the server wait for our reading.
  explicit HttpClient(std::uint16_t port, int receive_buffer = 0);

  bool connected() const { return socket_.valid(); }
  bool send(std::string_view bytes);
  // The next answer; nothing when the connection ends or ten seconds pass before it is complete.
  std::optional<Answer> receive(bool to_head = false);
  std::optional<Answer> get(std::string_view path);
  // The server has ended the connection, and sent nothing more before.
  bool ended();
  // What has come, or comes until the connection ends.
  std::string rest();
  // We send no more.
  void end_sending();

 private:
  bool fill();

  UniqueFd socket_;
  std::string input_;
};

// A whole request on a connection of its own; status 0: failed.
Answer fetch(std::uint16_t port, std::string_view path);

}  // namespace appd::test
