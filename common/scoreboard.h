// The scoreboard: shared memory of one rollout with a slot for each worker.
//
// A worker is the only writer of its slot and uses plain relaxed atomic stores; appd and the zygote
// read. Figures are therefore free of messages, and a stuck worker can be looked at from outside.
// The layout is fixed by kLayoutVersion: appd and a zygote of another version must notice.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <iterator>

#include "common/result.h"
#include "common/unique_fd.h"

namespace appd {

inline constexpr std::uint32_t kMaxWorkers = 1024;           // of a spec
inline constexpr std::uint32_t kMaxSlots = 2 * kMaxWorkers;  // while one rollout replaces another

// One request in the app's hands. Written as the slot is; a reader may catch it half written.
struct RequestInHand {
  std::atomic<std::uint64_t> started_ns;  // CLOCK_MONOTONIC, 0: the entry is free
  std::atomic<std::uint32_t> number;      // among all that the worker has shown, from 1
  char client[44];                        // its address; empty: it came by a unix socket
  char method[16];                        // all NUL-terminated
  char path[184];
};

struct alignas(64) ScoreboardSlot {
  // Written by the worker's serving thread(s) under the interpreter's lock.
  std::atomic<std::uint64_t> requests;     // answered
  std::atomic<std::uint64_t> errors;       // answered with 5xx
  std::atomic<std::uint64_t> started_ns;   // CLOCK_MONOTONIC of the oldest request in hand, 0: none
  std::atomic<std::uint32_t> busy;         // requests inside the app
  std::atomic<std::uint32_t> connections;  // open client connections
  std::atomic<std::uint32_t> threads;      // Python threads that serve
  std::atomic<std::int32_t> pid;           // 0: the slot is free
  std::atomic<std::uint64_t> bytes_in;
  std::atomic<std::uint64_t> bytes_out;
  std::atomic<std::uint64_t> beat_ns;      // of the monitor's last look while a request was held up
  std::atomic<std::uint64_t> latency[32];  // [i]: answered in less than 2^i microseconds
  // 1 while new clients are taken, and counted in ScoreboardHeader::takers. Set back by the worker
  // when it drains, or by the zygote when it has died.
  std::atomic<std::uint32_t> takes_clients;
  RequestInHand in_hand[32];  // the oldest; of more only `busy` tells
};
static_assert(sizeof(ScoreboardSlot) == 8576);
inline constexpr std::size_t kShownInHand = std::size(ScoreboardSlot{}.in_hand);

// Of the shown requests in hand the one that began last; nullptr: none.
const RequestInHand* newest_in_hand(const ScoreboardSlot& slot);

// Makes a slot what it was before its first worker. For the zygote, before a fork.
void clear(ScoreboardSlot& slot);

// The worker of the slot takes clients from now on, or no more; known to its siblings by `takers`.
void begin_taking(ScoreboardSlot& slot, std::atomic<std::uint32_t>& takers);
void end_taking(ScoreboardSlot& slot, std::atomic<std::uint32_t>& takers);

// What could not be written to an app's logs (the disk was full): totals, and what no line of the
// log has told yet. Any process of the rollout adds to it.
struct LogLoss {
  std::atomic<std::uint64_t> lines;
  std::atomic<std::uint64_t> bytes;
  std::atomic<std::uint64_t> untold_lines;
  std::atomic<std::uint64_t> untold_bytes;
  std::atomic<std::int64_t> failed_ms;  // CLOCK_MONOTONIC of the last write that failed
  std::atomic<std::uint32_t> torn;      // a line of the app's log was cut off in the middle
};

struct ScoreboardHeader {
  static constexpr std::uint32_t kMagic = 0x61707064;  // "appd"
  static constexpr std::uint32_t kLayoutVersion = 3;
  std::uint32_t magic;
  std::uint32_t layout_version;
  std::uint32_t slots;
  std::atomic<std::uint32_t> takers = 0;  // workers that take new clients
  LogLoss log_loss;
};

// One mapping of a scoreboard. Owns mapping and descriptor; inherited by fork as it is.
class Scoreboard {
 public:
  static Result<Scoreboard> create();               // a sealed memfd with kMaxSlots empty slots
  static Result<Scoreboard> open(UniqueFd memory);  // checks size, seal and layout
  Scoreboard() = default;
  Scoreboard(Scoreboard&& other) noexcept;
  Scoreboard& operator=(Scoreboard&& other) noexcept;
  ~Scoreboard();

  // index < kMaxSlots
  ScoreboardSlot& slot(std::uint32_t index) const;
  std::atomic<std::uint32_t>& takers() const;
  LogLoss& log_loss() const;
  int fd() const { return memory_.get(); }
  bool valid() const { return base_ != nullptr; }

 private:
  Scoreboard(UniqueFd memory, std::byte* base) : memory_(std::move(memory)), base_(base) {}
  UniqueFd memory_;
  std::byte* base_ = nullptr;
};

}  // namespace appd
