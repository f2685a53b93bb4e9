// The meter with real scoreboards, and this test's own process for a worker.
#include "supervisor/reconcile/meter.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <future>

#include "tests/support/eventually.h"
#include "tests/support/temporary_directory.h"

namespace appd::reconcile {
namespace {

using Board = std::shared_ptr<const Scoreboard>;
using Measured = std::shared_ptr<const model::Measurement>;

Board new_board() { return std::make_shared<const Scoreboard>(Scoreboard::create().value()); }

class MeterTest : public testing::Test {
 protected:
  // The worker 1 of a board has answered so many.
  static void serve(const Board& board, std::uint64_t requests) {
    board->slot(1).counters.requests += requests;
  }
  Roster roster(std::vector<Board> boards, std::int32_t pid = 0) {
    Roster roster;
    Roster::App& app = roster.apps.emplace_back();
    app.app.id = "web";
    app.app.uid = "uid";
    app.app.tally = ended_;
    for (const Board& board : boards) app.rollouts.push_back({board, 0});
    if (pid != 0) {
      model::WorkerView view;
      view.app = "web";
      view.id = 1;
      view.pid = pid;
      app.workers.push_back({view, boards.back()});
    }
    return roster;
  }
  Measured read(Roster roster) {
    auto promise = std::make_shared<std::promise<Measured>>();
    meter_->read(std::move(roster), [promise](Measured measured) { promise->set_value(measured); });
    return promise->get_future().get();
  }
  std::uint64_t requests(Roster roster) {
    return read(std::move(roster))->apps.at(0).tally.counts.requests;
  }

  test::TemporaryDirectory folder_;
  model::Tally ended_;
  std::optional<Error> failed_;
  std::unique_ptr<Meter> meter_ = std::make_unique<Meter>(
      folder_.path("counters"), [this](const Error& error) { failed_ = error; });
};

TEST_F(MeterTest, AddsUpOverRolloutsAndWhatHasEnded) {
  const Board old = new_board();
  const Board fresh = new_board();
  for (const Board& board : {old, fresh}) board->begin_worker(1);
  serve(old, 5);
  serve(fresh, 7);
  ended_.counts.requests = 100;
  EXPECT_EQ(requests(roster({old, fresh})), 112U);
  // As the core does when the old one has ended.
  ended_.counts += old->counts();
  EXPECT_EQ(requests(roster({fresh})), 112U);
  fresh->begin_worker(1);
  serve(fresh, 1);
  EXPECT_EQ(requests(roster({fresh})), 113U);
}

TEST_F(MeterTest, ShowsAWorkerWhatIsItsOwn) {
  const Board board = new_board();
  serve(board, 5);
  board->begin_worker(1);
  board->slot(1).pid = ::getpid();
  board->slot(1).busy = 2;
  serve(board, 3);
  const Measured measured = read(roster({board}, ::getpid()));
  const model::MeasuredWorker& worker = measured->workers.at(0);
  EXPECT_EQ(worker.view.requests, 3);
  EXPECT_EQ(worker.view.busy, 2);
  EXPECT_GT(worker.view.memory, 0);
  EXPECT_EQ(measured->apps.at(0).busy, 2);
  EXPECT_EQ(measured->apps.at(0).tally.counts.requests, 8U);
  board->slot(1).pid = ::getpid() + 1;  // somebody else has it already
  EXPECT_EQ(read(roster({board}, ::getpid()))->workers.at(0).view.requests, 0);
}

TEST_F(MeterTest, CpuTimeNeverGoesBack) {
  const Board board = new_board();
  const auto spent = [&] {
    return read(roster({board}, ::getpid()))->apps.at(0).tally.cpu > std::chrono::nanoseconds(0);
  };
  ASSERT_TRUE(test::eventually(spent)) << "this process has run for a while";
  const auto before = read(roster({board}, ::getpid()))->apps.at(0).tally.cpu;
  // The worker has ended, then its rollout.
  EXPECT_GE(read(roster({board}))->apps.at(0).tally.cpu, before);
  EXPECT_GE(read(roster({}))->apps.at(0).tally.cpu, before);
  EXPECT_GE(read(roster({new_board()}))->apps.at(0).tally.cpu, before);
}

// A kernel that counts in ticks may tell less of a worker that has ended than it did before.
TEST_F(MeterTest, CpuTimeDoesNotGoBackWhenAppdComesBack) {
  const Board board = new_board();
  model::Tally told;
  told.cpu = std::chrono::hours(1);
  meter_->restore("uid", board->id(), told);
  EXPECT_EQ(read(roster({board}, ::getpid()))->apps.at(0).tally.cpu, told.cpu);
}

TEST_F(MeterTest, HasWrittenDownWhatItTells) {
  const Board board = new_board();
  board->begin_worker(1);
  serve(board, 5);
  ended_.recycled = 2;
  read(roster({board}));
  const store::Books books = store::load_books(folder_.path("counters"));
  EXPECT_EQ(books.apps.at("uid").ended.recycled, 2);
  EXPECT_EQ(books.apps.at("uid").boards.at(board->id()).counts.requests, 5U);
}

TEST_F(MeterTest, WritesDownWhatIsToBeKeptBeforeItEnds) {
  ended_.recycled = 1;
  meter_->keep(roster({}));
  ended_.recycled = 2;
  meter_->keep(roster({}));
  meter_.reset();
  EXPECT_EQ(store::load_books(folder_.path("counters")).apps.at("uid").ended.recycled, 2);
}

TEST_F(MeterTest, TellsAlthoughNothingCanBeWrittenAndSaysSoOnce) {
  int said = 0;
  meter_ = std::make_unique<Meter>(folder_.path("none/counters"), [&](const Error&) { ++said; });
  ended_.counts.requests = 3;
  EXPECT_EQ(requests(roster({})), 3U);
  EXPECT_EQ(requests(roster({})), 3U);
  EXPECT_EQ(said, 1);
}

}  // namespace
}  // namespace appd::reconcile
