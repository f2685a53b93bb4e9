// HealthAnswer: what an app has said to a health check. Pure.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace appd::zygote {

// Takes an answer in pieces, up to the end of the connection. Keeps its beginning only.
class HealthAnswer {
 public:
  // The request; the answer to HTTP/1.0 has no chunks and ends with the connection.
  static std::string request(std::string_view path);

  void take(std::string_view bytes);
  // 0 until the status line is there.
  int status() const;
  // Nothing of the body is missing, as far as its length was announced.
  bool complete() const;
  // Status line and body for people: at most about 2 KiB, and UTF-8.
  std::string text() const;

 private:
  static constexpr std::size_t kKept = 8192;  // of the head and of the body, together
  std::size_t head_size() const;              // with the empty line; 0: not there yet

  std::string begin_;
  std::size_t received_ = 0;
};

}  // namespace appd::zygote
