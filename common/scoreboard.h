// The scoreboard: shared memory of one rollout with a slot for each worker.
//
// A worker is the only writer of its slot and uses plain relaxed atomic stores; appd and the zygote
// read. Figures are therefore free of messages, and a stuck worker can be looked at from outside.
// Counters are the slot's and outlive the workers that have it one after the other: the sum over
// all slots is what the rollout has done, and nothing is moved, lost or counted twice when one
// ends. The layout is fixed by kLayoutVersion: appd and a zygote of another version must notice.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <span>

#include "common/result.h"
#include "common/unique_fd.h"

namespace appd {

inline constexpr std::uint32_t kMaxWorkers = 1024;           // of a spec
inline constexpr std::uint32_t kMaxSlots = 2 * kMaxWorkers;  // while one rollout replaces another

// Where a request is. An entry of a worker that knows no stages reads as InApp.
enum class RequestStage : std::uint8_t {
  InApp,
  Receiving,  // its head is here, its body is still to come
  Sending,    // the app is done, the client has not taken the answer yet
};

// The statuses that are counted each for itself. The first six take the others by their first
// digit: 0 is none, there was no answer.
inline constexpr std::array<std::uint16_t, 36> kStatuses = {
    0,   1,   2,   3,   4,   5,   101, 200, 201, 202, 204, 206, 301, 302, 303, 304, 307, 308,
    400, 401, 403, 404, 405, 408, 409, 410, 413, 415, 422, 429, 431, 500, 501, 502, 503, 504};
// Where in kStatuses a status is, from 0 to 599.
inline constexpr std::array<std::uint8_t, 600> kStatusPlaces = [] {
  std::array<std::uint8_t, 600> places{};
  for (std::size_t status = 100; status < 600; ++status) {
    places[status] = static_cast<std::uint8_t>(status / 100);
  }
  for (std::size_t i = 6; i < kStatuses.size(); ++i) {
    places[kStatuses[i]] = static_cast<std::uint8_t>(i);
  }
  return places;
}();

// What has been done. Nothing but cells, so that they can be gone through as one row.
template <typename Cell>
struct CountersOf {
  Cell requests{};                   // that were the app's to answer, and are over
  Cell answers[kStatuses.size()]{};  // of these, by status
  Cell refused{};       // others, which the worker has refused itself: malformed, too large, late
  Cell bytes_in{};      // of clients
  Cell bytes_out{};     // to clients
  Cell latency_ns{};    // of all requests together
  Cell latency[32]{};   // [i]: took at most 2^i microseconds and more than half of that
  Cell wait_ns{};       // all waits together, for a worker that has time
  Cell waits[16]{};     // [i]: waited at most 2^i milliseconds and, but for [0], more than half
  Cell lock_waits{};    // of several threads: one with something to do came for the GIL
  Cell lock_wait_ns{};  // and got it after, all together

  static constexpr std::size_t kCells = 92;
  std::span<Cell, kCells> cells() { return std::span<Cell, kCells>(&requests, kCells); }
  std::span<const Cell, kCells> cells() const {
    return std::span<const Cell, kCells>(&requests, kCells);
  }
  bool operator==(const CountersOf&) const = default;
};
using Counters = CountersOf<std::atomic<std::uint64_t>>;
using Counts = CountersOf<std::uint64_t>;
static_assert(sizeof(Counters) == Counters::kCells * sizeof(std::uint64_t));
static_assert(sizeof(Counts) == sizeof(Counters));

Counts read(const Counters& counters);
Counts& operator+=(Counts& to, const Counts& more);
// What has come to `from`, which is an earlier `to`.
Counts growth(const Counts& from, const Counts& to);
// Answers by the first digit of the status; [0]: there was none.
std::array<std::uint64_t, 6> by_class(const Counts& counts);
// Those with 5xx.
std::uint64_t errors(const Counts& counts);

// One request in hand. Written as the slot is; a reader may catch it half written.
struct RequestInHand {
  std::atomic<std::uint64_t> started_ns;  // CLOCK_MONOTONIC, 0: the entry is free
  std::atomic<std::uint32_t> number;      // the worker's own, from 1, in all stages the same
  char method[16];                        // NUL-terminated
  char path[163];
  std::atomic<RequestStage> stage;
};

struct alignas(64) ScoreboardSlot {
  // Written by the worker's serving thread(s) under the interpreter's lock.
  Counters counters;                       // of all workers that have had the slot
  std::atomic<std::uint64_t> started_ns;   // CLOCK_MONOTONIC of the oldest request in hand, 0: none
  std::atomic<std::uint32_t> busy;         // requests inside the app
  std::atomic<std::uint32_t> connections;  // open client connections
  std::atomic<std::uint32_t> threads;      // Python threads that serve
  std::atomic<std::int32_t> pid;           // 0: the slot is free
  std::atomic<std::uint64_t> beat_ns;      // of the monitor's last look while a request was held up
  // 1 while new clients are taken, and counted in ScoreboardHeader::takers. Set back by the worker
  // when it drains, or by the zygote when it has died.
  std::atomic<std::uint32_t> takes_clients;
  std::atomic<std::uint32_t> receiving;  // requests by their stage, as `busy` is of InApp
  std::atomic<std::uint32_t> sending;
  std::atomic<std::uint32_t> websockets;  // and sockets that a gateway has taken over
  Counters before;  // what the counters were when the worker began; the zygote's
  // Of those inside the app the oldest. Of more than these only the figures by stage tell.
  RequestInHand in_hand[16];
};
static_assert(sizeof(ScoreboardSlot) == 4608);
inline constexpr std::size_t kShownInHand = std::size(ScoreboardSlot{}.in_hand);

// Of the shown requests inside the app the one that began last; nullptr: none.
const RequestInHand* newest_in_hand(const ScoreboardSlot& slot);

// What the present worker of the slot has done, or the last one.
Counts own_counts(const ScoreboardSlot& slot);

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
  static constexpr std::uint32_t kLayoutVersion = 4;
  std::uint32_t magic;
  std::uint32_t layout_version;
  std::uint32_t slots;
  std::atomic<std::uint32_t> takers = 0;  // workers that take new clients
  std::uint64_t id = 0;                   // a random number: no other scoreboard has it
  std::atomic<std::uint32_t> used = 0;    // no slot from here on has had a worker
  LogLoss log_loss;
  // Written by appd: 1 while a canary is to get its share of the clients.
  std::atomic<std::uint32_t> take_turns = 0;
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
  ScoreboardHeader& header() const;
  std::atomic<std::uint32_t>& takers() const { return header().takers; }
  LogLoss& log_loss() const { return header().log_loss; }
  // For the zygote, before a fork: the slot's next worker begins with nothing but the counters.
  void begin_worker(std::uint32_t index) const;
  // What all its workers have done.
  Counts counts() const;
  std::uint64_t id() const;
  int fd() const { return memory_.get(); }
  bool valid() const { return base_ != nullptr; }

 private:
  Scoreboard(UniqueFd memory, std::byte* base) : memory_(std::move(memory)), base_(base) {}
  UniqueFd memory_;
  std::byte* base_ = nullptr;
};

}  // namespace appd
