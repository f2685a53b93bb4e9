// What appd is told of a zygote's children. They have no processes.
#include "worker/zygote/children.h"

#include <gtest/gtest.h>

#include <csignal>
#include <limits>

namespace appd::zygote {
namespace {

constexpr pid_t kNobody = std::numeric_limits<pid_t>::max();  // no kernel has as many
constexpr int kStatusThree = 3 << 8;                          // as from waitpid(2)

class ChildrenTest : public testing::Test {
 protected:
  ChildrenTest() {
    auto pair = message::channel_pair();
    appd_ = std::move(pair->first);
    link_.adopt(pair->second.release());
    rollout_.scoreboard = std::move(Scoreboard::create()).value();
    rollout_.loaded.worker_class = "sync";
  }

  // Adds a worker; the other end of its link.
  message::Channel add_worker(std::uint32_t number, pid_t pid = kNobody) {
    auto pair = message::channel_pair();
    Child child;
    child.worker = number;
    child.pid = pid;
    child.channel = std::move(pair->first);
    child.stacks = std::move(StacksFile::create()).value();
    child.forked = net::steady_now();
    children_.make_room(number);
    children_.add(std::move(child));
    EXPECT_EQ(told<message::Forked>().worker, number);
    return std::move(pair->second);
  }
  void add_command(std::uint32_t number) {
    rollout_.argv = {"mailer"};
    Child child;
    child.worker = number;
    child.pid = kNobody;
    child.command = true;
    child.output = std::move(net::LogPipe::create("7/1", true)).value();
    child.forked = net::steady_now();
    child.ready_at = child.forked;
    children_.add(std::move(child));
    EXPECT_EQ(told<message::Forked>().worker, number);
  }
  void read_all() {
    std::vector<pollfd> polled;
    children_.poll_for(polled);
    ::poll(polled.data(), polled.size(), 0);
    children_.read(polled);
  }
  // The next that appd hears.
  template <typename T>
  T told() {
    auto received = appd_.receive();
    if (!received) {
      ADD_FAILURE() << "appd was told nothing";
      return {};
    }
    auto* message = std::get_if<T>(&received->message);
    if (message == nullptr) {
      ADD_FAILURE() << "appd was told something else";
      return {};
    }
    return std::move(*message);
  }
  bool told_nothing() { return !appd_.receive(); }

  message::Channel appd_;
  Rollout rollout_;
  AppdLink link_{UniqueFd()};
  Children children_{rollout_, link_};
};

TEST_F(ChildrenTest, AreFoundByTheirNumberUntilTheyAreBuried) {
  add_worker(3);
  ASSERT_NE(children_.find(3), nullptr);
  EXPECT_EQ(children_.find(4), nullptr);
  children_.bury(kNobody, 0);
  EXPECT_TRUE(children_.empty());
  EXPECT_EQ(told<message::Exited>().worker, 3U);
}

TEST_F(ChildrenTest, LeaveTheirPlaceOnTheScoreboard) {
  add_worker(3);
  ScoreboardSlot& slot = rollout_.scoreboard.slot(3);
  slot.pid.store(kNobody);
  begin_taking(slot, rollout_.scoreboard.takers());
  children_.bury(kNobody, SIGKILL);
  EXPECT_EQ(slot.pid.load(), 0);
  EXPECT_EQ(rollout_.scoreboard.takers().load(), 0U);
}

TEST_F(ChildrenTest, AreReadOnceMoreBeforeTheyAreBuried) {
  message::Channel worker = add_worker(1);
  ASSERT_TRUE(worker.send(message::BootFailed{1, message::BootFailure::Import, "no module", ""}));
  children_.bury(kNobody, kStatusThree);
  EXPECT_EQ(told<message::BootFailed>().summary, "no module");
  EXPECT_EQ(told<message::Exited>().wait_status, kStatusThree);
}

TEST_F(ChildrenTest, ThatAreNotOursAreNotToldOf) {
  children_.bury(kNobody, 0);
  EXPECT_TRUE(told_nothing());
}

TEST_F(ChildrenTest, KnowTheClassThatTheFirstReadyOneHasFound) {
  message::Channel worker = add_worker(1);
  ASSERT_TRUE(worker.send(message::Ready{1, 5, "asgi", 0}));
  read_all();
  EXPECT_EQ(told<message::Ready>().worker_class, "asgi");
  children_.tell_all();
  told<message::Forked>();
  auto ready = told<message::Ready>();
  EXPECT_EQ(ready.worker_class, "asgi");
  EXPECT_EQ(ready.settings_revision, 5);
}

TEST_F(ChildrenTest, ThatAreNotReadyAreToldOfAsForked) {
  add_worker(1);
  children_.tell_all();
  EXPECT_EQ(told<message::Forked>().worker, 1U);
  EXPECT_TRUE(told_nothing());
}

TEST_F(ChildrenTest, MaySayNothingThatIsNotTheirs) {
  message::Channel worker = add_worker(1);
  ASSERT_TRUE(worker.send(message::Exited{2, kNobody, 0, message::ExitCause::Own, ""}));
  read_all();
  EXPECT_TRUE(told_nothing());
}

TEST_F(ChildrenTest, ThatAreStuckAreCondemned) {
  message::Channel worker = add_worker(1);
  ASSERT_TRUE(worker.send(message::Stuck{1, true, 1000, "GET /slow"}));
  read_all();
  children_.bury(kNobody, SIGKILL);
  auto exited = told<message::Exited>();
  EXPECT_EQ(exited.cause, message::ExitCause::RequestTimeout);
  EXPECT_EQ(exited.detail, "GET /slow after 1000 ms");
}

TEST_F(ChildrenTest, CommandsThatEndTooEarlyAreToldAsSuch) {
  add_command(1);
  children_.bury(kNobody, kStatusThree);
  auto failed = told<message::BootFailed>();
  EXPECT_EQ(failed.cause, message::BootFailure::Ended);
  EXPECT_TRUE(failed.summary.starts_with("mailer exited with status 3")) << failed.summary;
  told<message::Exited>();
}

TEST_F(ChildrenTest, CommandsThatHaveStayedUpAreReadyOnce) {
  add_command(1);
  children_.announce_ready();
  EXPECT_EQ(told<message::Ready>().worker_class, kCommandClass);
  children_.announce_ready();
  EXPECT_TRUE(told_nothing());
  children_.bury(kNobody, kStatusThree);
  told<message::Exited>();
}

TEST_F(ChildrenTest, AreTunedByMessageAndCommandsByUs) {
  message::Channel worker = add_worker(1, kNobody - 1);
  add_command(2);
  message::Tune tune;
  tune.settings.revision = 9;
  children_.tune(tune);
  EXPECT_EQ(told<message::Tuned>().worker, 2U);
  EXPECT_TRUE(told_nothing()) << "a worker says so itself";
  auto received = worker.receive();
  ASSERT_TRUE(received);
  EXPECT_EQ(std::get<message::Tune>(received->message).settings.revision, 9);
}

TEST_F(ChildrenTest, HaveNoDeadlineWhileThereAreNone) {
  EXPECT_EQ(children_.next_deadline(), net::kNever);
  add_worker(1);
  EXPECT_NE(children_.next_deadline(), net::kNever) << "their slots are looked at";
  children_.bury(kNobody, 0);
  EXPECT_EQ(children_.next_deadline(), net::kNever);
}

}  // namespace
}  // namespace appd::zygote
