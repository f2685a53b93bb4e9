// LogOutput: how this process writes to its logs: the app's log behind descriptors 1 and 2, and the
// access log behind one of its own.
//
// A line of the app's log is one write(2) to a file that is open for appending, so that lines of
// several processes never mix, and begins with a prefix unless that is turned off:
//
//   2026-11-25T00:31:07.123Z 7/3 text        rollout 7, worker 3; 7/- is the zygote
//
// What cannot be written is counted, never reported to the writer: a full disk must not fail
// requests. The first write that succeeds afterwards is preceded by a line that tells the loss.
//
// One set of state a process; any thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>

#include "common/scoreboard.h"

namespace appd::net {

// "7/3"; until it is set lines have no prefix.
void set_log_writer(std::string_view writer);
void set_log_prefix(bool on);
// Where losses are counted from now on: shared memory that stays until the next call. nullptr: for
// this process alone.
void set_log_loss(LogLoss* loss);

// Whole lines, and perhaps the beginning of one, which the next call goes on with. To descriptor 1
// or 2.
void write_log(int descriptor, std::string_view text);
// What another process has written, "7/3". `begins`: with a line, not in the middle of one.
void write_log_of(std::string_view writer, bool begins, std::string_view text);

// Lines of the access log on their way to one write(2). They lie in memory that the zygote shares,
// so that it can write down what a killed worker has left.
class AccessBatch {
 public:
  static constexpr std::size_t kCapacity = 64 * 1024 - sizeof(std::uint64_t);

  // False: there is no room.
  bool append(std::string_view line) {
    std::uint32_t used = used_.load(std::memory_order_relaxed);
    if (used > kCapacity || line.size() > kCapacity - used) return false;
    __builtin_memcpy(bytes_ + used, line.data(), line.size());
    used_.store(used + static_cast<std::uint32_t>(line.size()), std::memory_order_release);
    return true;
  }
  bool empty() const { return used_.load(std::memory_order_relaxed) == 0; }
  void flush();

 private:
  std::atomic<std::uint32_t> used_ = 0;
  char bytes_[kCapacity];
};

// Memory that is shared with the children of this process; nullptr: there is none to be had.
AccessBatch* share_access_batch();
void release_access_batch(AccessBatch* batch);
// The one that this process fills.
AccessBatch& access_batch();
void set_access_batch(AccessBatch* batch);

// Whole lines, for which no batch has room.
void write_access_log(std::string_view text);

}  // namespace appd::net
