// Creation and mapping of the scoreboard.
#include "common/scoreboard.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>

namespace appd {
namespace {

constexpr std::size_t kHeaderSize = 4096;  // slots start on a page of their own
constexpr std::size_t kSize = kHeaderSize + sizeof(ScoreboardSlot) * kMaxSlots;

Result<std::byte*> map(int fd) {
  void* base = ::mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (base == MAP_FAILED) return sys_error("SCOREBOARD_MAP", "map scoreboard", errno);
  return static_cast<std::byte*>(base);
}

}  // namespace

Result<Scoreboard> Scoreboard::create() {
  UniqueFd memory(::memfd_create("appd-scoreboard", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!memory) return sys_error("SCOREBOARD_CREATE", "create scoreboard", errno);
  if (::ftruncate(memory.get(), kSize) < 0 ||
      ::fcntl(memory.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
    return sys_error("SCOREBOARD_CREATE", "size scoreboard", errno);
  }
  std::uint64_t id = 0;
  if (::getrandom(&id, sizeof(id), 0) != sizeof(id)) {
    return sys_error("SCOREBOARD_CREATE", "number scoreboard", errno);
  }
  std::byte* base = TRY(map(memory.get()));
  auto* header = new (base) ScoreboardHeader{};
  header->magic = ScoreboardHeader::kMagic;
  header->layout_version = ScoreboardHeader::kLayoutVersion;
  header->slots = kMaxSlots;
  header->id = id;
  return Scoreboard(std::move(memory), base);
}

Result<Scoreboard> Scoreboard::open(UniqueFd memory) {
  struct stat status {};
  int seals = ::fcntl(memory.get(), F_GET_SEALS);
  // The seal keeps a hostile peer from shrinking the file under our feet (SIGBUS).
  if (::fstat(memory.get(), &status) < 0 || status.st_size != static_cast<off_t>(kSize) ||
      seals < 0 || (seals & F_SEAL_SHRINK) == 0) {
    return Error{ErrorCode::InvalidArgument, "SCOREBOARD_LAYOUT", "not a scoreboard of this appd",
                 0};
  }
  std::byte* base = TRY(map(memory.get()));
  Scoreboard scoreboard(std::move(memory), base);
  const auto* header = reinterpret_cast<const ScoreboardHeader*>(base);
  if (header->magic != ScoreboardHeader::kMagic ||
      header->layout_version != ScoreboardHeader::kLayoutVersion || header->slots != kMaxSlots) {
    return Error{ErrorCode::InvalidArgument, "SCOREBOARD_LAYOUT", "scoreboard of another version",
                 0};
  }
  return scoreboard;
}

void begin_taking(ScoreboardSlot& slot, std::atomic<std::uint32_t>& takers) {
  takers.fetch_add(1);
  slot.takes_clients.store(1);
}

// A worker that dies while it drains is not counted twice.
void end_taking(ScoreboardSlot& slot, std::atomic<std::uint32_t>& takers) {
  if (slot.takes_clients.exchange(0) != 0) takers.fetch_sub(1);
}

const RequestInHand* newest_in_hand(const ScoreboardSlot& slot) {
  const RequestInHand* newest = nullptr;
  std::uint64_t latest = 0;
  for (const RequestInHand& request : slot.in_hand) {
    std::uint64_t started = request.started_ns.load(std::memory_order_relaxed);
    if (started <= latest || request.stage.load(std::memory_order_relaxed) != RequestStage::InApp) {
      continue;
    }
    latest = started;
    newest = &request;
  }
  return newest;
}

Counts read(const Counters& counters) {
  Counts counts;
  for (std::size_t i = 0; i < Counts::kCells; ++i) {
    counts.cells()[i] = counters.cells()[i].load(std::memory_order_relaxed);
  }
  return counts;
}

Counts& operator+=(Counts& to, const Counts& more) {
  for (std::size_t i = 0; i < Counts::kCells; ++i) to.cells()[i] += more.cells()[i];
  return to;
}

Counts growth(const Counts& from, const Counts& to) {
  Counts counts;
  for (std::size_t i = 0; i < Counts::kCells; ++i) {
    counts.cells()[i] = to.cells()[i] - from.cells()[i];
  }
  return counts;
}

std::array<std::uint64_t, 6> by_class(const Counts& counts) {
  std::array<std::uint64_t, 6> classes{};
  for (std::size_t i = 0; i < kStatuses.size(); ++i) {
    classes[i < 6 ? i : kStatuses[i] / 100] += counts.answers[i];
  }
  return classes;
}

std::uint64_t errors(const Counts& counts) { return by_class(counts)[5]; }

Counts own_counts(const ScoreboardSlot& slot) {
  return growth(read(slot.before), read(slot.counters));
}

Scoreboard::Scoreboard(Scoreboard&& other) noexcept
    : memory_(std::move(other.memory_)), base_(std::exchange(other.base_, nullptr)) {}

Scoreboard& Scoreboard::operator=(Scoreboard&& other) noexcept {
  std::swap(memory_, other.memory_);
  std::swap(base_, other.base_);
  return *this;
}

Scoreboard::~Scoreboard() {
  if (base_ != nullptr) ::munmap(base_, kSize);
}

ScoreboardHeader& Scoreboard::header() const { return *reinterpret_cast<ScoreboardHeader*>(base_); }

std::uint64_t Scoreboard::id() const { return reinterpret_cast<ScoreboardHeader*>(base_)->id; }

// All behind the counters is the last worker's.
void Scoreboard::begin_worker(std::uint32_t index) const {
  ScoreboardSlot& next = slot(index);
  const Counts done = read(next.counters);
  constexpr std::size_t kOwn = offsetof(ScoreboardSlot, started_ns);
  std::memset(reinterpret_cast<std::byte*>(&next) + kOwn, 0, sizeof(next) - kOwn);
  for (std::size_t i = 0; i < Counts::kCells; ++i) {
    next.before.cells()[i].store(done.cells()[i], std::memory_order_relaxed);
  }
  auto& used = reinterpret_cast<ScoreboardHeader*>(base_)->used;
  used.store(std::max(used.load(std::memory_order_relaxed), index + 1), std::memory_order_release);
}

Counts Scoreboard::counts() const {
  const auto& used = reinterpret_cast<ScoreboardHeader*>(base_)->used;
  const std::uint32_t end = std::min(used.load(std::memory_order_acquire), kMaxSlots);
  Counts sum;
  for (std::uint32_t i = 0; i < end; ++i) sum += read(slot(i).counters);
  return sum;
}

ScoreboardSlot& Scoreboard::slot(std::uint32_t index) const {
  APPD_CHECK(index < kMaxSlots);
  return reinterpret_cast<ScoreboardSlot*>(base_ + kHeaderSize)[index];
}

}  // namespace appd
