// SpoolFile: bytes that are too many for memory, in a file without a name.
#pragma once

#include <cstdint>
#include <string_view>

#include "common/result.h"
#include "common/unique_fd.h"

namespace appd::net {

// Owns an unlinked temporary file; its space is freed with the descriptor, whatever happens.
// Under the engine's lock.
class SpoolFile {
 public:
  static Result<SpoolFile> create();  // in $TMPDIR, else /tmp
  SpoolFile() = default;

  bool valid() const { return fd_.valid(); }
  std::uint64_t size() const { return size_; }
  Result<void> append(std::string_view bytes);
  // How many bytes were read at `offset`; 0 at the end.
  Result<std::size_t> read(std::uint64_t offset, char* to, std::size_t size) const;
  // Hands the descriptor over, positioned at the start.
  UniqueFd release();

 private:
  explicit SpoolFile(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
  std::uint64_t size_ = 0;
};

}  // namespace appd::net
