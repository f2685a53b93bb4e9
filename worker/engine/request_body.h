// RequestBody: a request's body, whole before the app is called. Small in memory, large in a file.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/result.h"
#include "worker/net/spool_file.h"

namespace appd::engine {

// Owns the bytes. Belongs to one exchange; under the engine's lock.
class RequestBody {
 public:
  static constexpr std::size_t kMemory = 256 * 1024;

  Result<void> append(std::string_view bytes) {
    size_ += bytes.size();
    if (!file_.valid() && memory_.size() + bytes.size() <= kMemory) {
      memory_.append(bytes);
      return {};
    }
    if (!file_.valid()) {
      file_ = TRY(net::SpoolFile::create());
      TRY(file_.append(memory_));
      memory_ = {};
    }
    return file_.append(bytes);
  }

  std::uint64_t size() const { return size_; }
  bool in_file() const { return file_.valid(); }
  std::string_view memory() const { return memory_; }
  UniqueFd release_file() { return file_.release(); }
  void clear() {
    if (size_ != 0) *this = RequestBody();
  }

 private:
  std::string memory_;
  net::SpoolFile file_;
  std::uint64_t size_ = 0;
};

}  // namespace appd::engine
