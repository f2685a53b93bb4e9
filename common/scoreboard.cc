// Creation and mapping of the scoreboard.
#include "common/scoreboard.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

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
  std::byte* base = TRY(map(memory.get()));
  new (base) ScoreboardHeader{
      ScoreboardHeader::kMagic, ScoreboardHeader::kLayoutVersion, kMaxSlots, {}, {}, {}};
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

void clear(ScoreboardSlot& slot) { std::memset(static_cast<void*>(&slot), 0, sizeof(slot)); }

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

ScoreboardSlot& Scoreboard::slot(std::uint32_t index) const {
  APPD_CHECK(index < kMaxSlots);
  return reinterpret_cast<ScoreboardSlot*>(base_ + kHeaderSize)[index];
}

}  // namespace appd
