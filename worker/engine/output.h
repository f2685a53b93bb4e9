// Output: bytes on their way to one client. What the socket does not take at once is kept, so that
// a slow reader never holds the app: first in memory, then in a temporary file. A file of the app's
// is not kept at all but goes from the page cache to the socket.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/unique_fd.h"
#include "worker/net/spool_file.h"

namespace appd::engine {

// Some bytes of a regular file, on their way to a client.
struct FilePiece {
  UniqueFd file;
  std::uint64_t offset = 0;
  std::uint64_t size = 0;
};

// Under the engine's lock. Borrows the socket for the length of a call.
class Output {
 public:
  enum class State { Drained, Pending, Broken };

  static constexpr std::size_t kMemory = 1024 * 1024;
  static constexpr std::uint64_t kTotal = std::uint64_t{1} << 30;
  static constexpr std::uint64_t kHeld = 16 * 1024;
  // Of a file sent in one call, so that a fast reader's file does not keep all others waiting.
  static constexpr std::uint64_t kFileStep = 1024 * 1024;

  // Keeps the bytes until the next write() or flush(). False: that would be more than kHeld, and
  // nothing was kept.
  bool hold(std::string_view first, std::string_view second);
  // Sends both pieces in order, in one system call when nothing is pending.
  State write(int socket, std::string_view first, std::string_view second = {});
  // Sends `first`, then the file. Nothing may be written after it until all of it is out.
  State write_file(int socket, std::string_view first, FilePiece file);
  State flush(int socket);

  std::uint64_t pending() const { return held() + file_.size; }
  bool congested() const { return held() > kTotal; }
  // The last call has stopped at kFileStep although the socket had room: no event will come for it.
  bool stopped_short() const { return stopped_short_; }

 private:
  std::uint64_t held() const { return memory_.size() - sent_ + spool_.size() - spool_sent_; }
  State keep(std::string_view bytes);
  bool refill();
  State flush_file(int socket);

  std::string memory_;  // the oldest bytes
  std::size_t sent_ = 0;
  net::SpoolFile spool_;  // what came after memory was full
  std::uint64_t spool_sent_ = 0;
  FilePiece file_;  // the rest of it, after everything else
  bool stopped_short_ = false;
};

}  // namespace appd::engine
