// Output: bytes on their way to one client. What the socket does not take at once is kept, so that
// a slow reader never holds the app: first in memory, then in a temporary file.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "worker/net/spool_file.h"

namespace appd::engine {

// Under the engine's lock. Borrows the socket for the length of a call.
class Output {
 public:
  enum class State { Drained, Pending, Broken };

  static constexpr std::size_t kMemory = 1024 * 1024;
  static constexpr std::uint64_t kTotal = std::uint64_t{1} << 30;

  // Sends both pieces in order, in one system call when nothing is pending.
  State write(int socket, std::string_view first, std::string_view second = {});
  State flush(int socket);

  std::uint64_t pending() const { return memory_.size() - sent_ + spool_.size() - spool_sent_; }
  bool congested() const { return pending() > kTotal; }

 private:
  State keep(std::string_view bytes);
  bool refill();

  std::string memory_;  // the oldest bytes
  std::size_t sent_ = 0;
  net::SpoolFile spool_;  // what came after memory was full
  std::uint64_t spool_sent_ = 0;
};

}  // namespace appd::engine
