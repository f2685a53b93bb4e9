// What one request may take of us, and the answer to a client that breaks a rule.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace appd::http {

// The limits of a request; 0 turns one off, but a head is never longer than head_bytes().
struct Limits {
  std::uint32_t request_line = 4094;
  std::uint32_t fields = 100;
  std::uint32_t field_size = 8190;
  std::uint64_t body = std::uint64_t{1} << 30;

  // The whole head: 64 KiB, or more when one line of the permitted size would not fit.
  std::size_t head_bytes() const {
    std::size_t lines = std::size_t{request_line} + field_size + 1024;
    return lines > 64 * 1024 ? lines : 64 * 1024;
  }
};

// Why a request is refused: the status to answer with and the broken rule, in words for people.
struct Refusal {
  int status = 0;
  std::string rule;
};

inline Refusal control_character() { return {400, "Control character in the request's head"}; }

}  // namespace appd::http
