// The scoreboard's memory: shared, sealed, and refused when it is anything else.
#include "common/scoreboard.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace appd {
namespace {

UniqueFd duplicate(int fd) { return UniqueFd(::fcntl(fd, F_DUPFD_CLOEXEC, 0)); }

off_t size_of(int fd) {
  struct stat status {};
  ::fstat(fd, &status);
  return status.st_size;
}

UniqueFd memory(off_t size, unsigned seals) {
  UniqueFd fd(::memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  APPD_CHECK(::ftruncate(fd.get(), size) == 0);
  if (seals != 0) APPD_CHECK(::fcntl(fd.get(), F_ADD_SEALS, seals) == 0);
  return fd;
}

void describe(ScoreboardHeader& header) {
  header.magic = ScoreboardHeader::kMagic;
  header.layout_version = ScoreboardHeader::kLayoutVersion;
  header.slots = kMaxSlots;
}

TEST(Scoreboard, StartsWithFreeSlots) {
  auto board = Scoreboard::create();
  ASSERT_TRUE(board);
  for (std::uint32_t i = 0; i < kMaxSlots; ++i) EXPECT_EQ(board->slot(i).pid.load(), 0);
}

TEST(Scoreboard, OpenedTwiceShowsTheSameSlots) {
  auto writer = Scoreboard::create();
  ASSERT_TRUE(writer);
  auto reader = Scoreboard::open(duplicate(writer->fd()));
  ASSERT_TRUE(reader) << reader.error().message;
  writer->slot(kMaxSlots - 1).counters.requests.store(42);
  EXPECT_EQ(reader->slot(kMaxSlots - 1).counters.requests.load(), 42U);
}

TEST(Scoreboard, IsSharedWithAForkedChild) {
  auto board = Scoreboard::create();
  ASSERT_TRUE(board);
  pid_t child = ::fork();
  if (child == 0) {
    board->slot(5).pid.store(::getpid());
    ::_exit(0);
  }
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  EXPECT_EQ(board->slot(5).pid.load(), child);
}

TEST(Scoreboard, CannotBeShrunkUnderAReader) {
  auto board = Scoreboard::create();
  ASSERT_TRUE(board);
  EXPECT_LT(::ftruncate(board->fd(), 0), 0);
  EXPECT_EQ(errno, EPERM);
}

TEST(Scoreboard, MovingKeepsTheMapping) {
  auto board = Scoreboard::create();
  ASSERT_TRUE(board);
  board->slot(0).counters.answers[kStatusPlaces[500]].store(3);
  Scoreboard moved = std::move(board).value();
  EXPECT_TRUE(moved.valid());
  EXPECT_EQ(moved.slot(0).counters.answers[kStatusPlaces[500]].load(), 3U);
  Scoreboard empty;
  EXPECT_FALSE(empty.valid());
  empty = std::move(moved);
  EXPECT_EQ(empty.slot(0).counters.answers[kStatusPlaces[500]].load(), 3U);
}

TEST(Scoreboard, CountersOutliveTheWorkersOfASlot) {
  auto board = Scoreboard::create();
  ASSERT_TRUE(board);
  ScoreboardSlot& slot = board->slot(3);
  board->begin_worker(3);
  slot.counters.requests.store(5);
  slot.counters.waits[15].store(2);
  slot.busy.store(1);
  slot.in_hand[0].started_ns.store(7);
  board->begin_worker(3);
  EXPECT_EQ(own_counts(slot).requests, 0U);
  EXPECT_EQ(slot.busy.load(), 0U);
  EXPECT_EQ(newest_in_hand(slot), nullptr);
  slot.counters.requests.store(9);
  EXPECT_EQ(own_counts(slot).requests, 4U);
  board->slot(1).counters.requests.store(100);
  EXPECT_EQ(board->counts().requests, 109U);
  EXPECT_EQ(board->counts().waits[15], 2U);
}

TEST(Scoreboard, EachHasANumberOfItsOwn) {
  auto one = Scoreboard::create();
  auto other = Scoreboard::create();
  ASSERT_TRUE(one && other);
  EXPECT_NE(one->id(), other->id());
  auto again = Scoreboard::open(duplicate(one->fd()));
  ASSERT_TRUE(again);
  EXPECT_EQ(again->id(), one->id());
}

TEST(Scoreboard, RefusesMemoryOfAnotherSize) {
  auto board = Scoreboard::create();
  ASSERT_TRUE(board);
  EXPECT_FALSE(Scoreboard::open(memory(size_of(board->fd()) - 1, F_SEAL_SHRINK | F_SEAL_GROW)));
  EXPECT_FALSE(Scoreboard::open(memory(0, F_SEAL_SHRINK)));
}

TEST(Scoreboard, RefusesMemoryThatCouldShrink) {
  auto board = Scoreboard::create();
  ASSERT_TRUE(board);
  UniqueFd unsealed = memory(size_of(board->fd()), 0);
  ScoreboardHeader header;
  describe(header);
  ASSERT_EQ(::pwrite(unsealed.get(), &header, sizeof(header), 0),
            static_cast<ssize_t>(sizeof(header)));
  EXPECT_FALSE(Scoreboard::open(std::move(unsealed)));
}

TEST(Scoreboard, RefusesAnotherLayout) {
  auto board = Scoreboard::create();
  ASSERT_TRUE(board);
  for (int field = 0; field < 3; ++field) {
    ScoreboardHeader header;
    describe(header);
    if (field == 0) ++header.magic;
    if (field == 1) ++header.layout_version;
    if (field == 2) ++header.slots;
    UniqueFd other = memory(size_of(board->fd()), F_SEAL_SHRINK);
    ASSERT_EQ(::pwrite(other.get(), &header, sizeof(header), 0),
              static_cast<ssize_t>(sizeof(header)));
    EXPECT_FALSE(Scoreboard::open(std::move(other))) << "field " << field;
  }
}

TEST(Scoreboard, RefusesWhatIsNoMemoryFile) {
  EXPECT_FALSE(Scoreboard::open(UniqueFd(::open("/dev/null", O_RDWR | O_CLOEXEC))));
  EXPECT_FALSE(Scoreboard::open(UniqueFd()));
}

TEST(ScoreboardDeathTest, SlotBeyondTheEndDies) {
  auto board = Scoreboard::create();
  ASSERT_TRUE(board);
  EXPECT_DEATH(board->slot(kMaxSlots), "check_failed");
}

}  // namespace
}  // namespace appd
