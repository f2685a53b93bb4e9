// What a zygote has to say while appd is slow, or gone.
#include "worker/zygote/appd_link.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

namespace appd::zygote {
namespace {

message::Message exited(std::uint32_t worker) {
  message::Exited exited;
  exited.worker = worker;
  return exited;
}

// A link with an appd, whose end of it is `appd`.
struct Connected {
  Connected() {
    auto pair = message::channel_pair();
    appd = std::move(pair->first);
    link.adopt(pair->second.release());
  }
  // The next that appd gets is the end of this worker.
  bool hears_of(std::uint32_t worker) const {
    auto received = appd.receive();
    if (!received) return false;
    const auto* end = std::get_if<message::Exited>(&received->message);
    return end != nullptr && end->worker == worker;
  }

  message::Channel appd;
  AppdLink link{UniqueFd()};
};

TEST(AppdLink, KeepsExitsAndNothingElseForTheNextAppd) {
  Connected first;
  first.appd.close();
  EXPECT_FALSE(first.link.receive().has_value());
  EXPECT_FALSE(first.link.connected());
  first.link.send(exited(1));
  first.link.send(message::Forked{2});
  first.link.send(exited(3));

  auto pair = message::channel_pair();
  first.appd = std::move(pair->first);
  first.link.adopt(pair->second.release());
  first.link.send_kept();
  EXPECT_TRUE(first.hears_of(1));
  EXPECT_TRUE(first.hears_of(3));
  EXPECT_FALSE(first.appd.receive())
      << "they are told once, and the fork is told by whoever greets";
}

TEST(AppdLink, SendsInOrderWhenASlowAppdReadsAgain) {
  Connected connected;
  std::uint32_t sent = 0;
  while (!connected.link.has_unsent()) connected.link.send(exited(++sent));
  connected.link.send(exited(++sent));
  for (std::uint32_t worker = 1; worker <= sent; ++worker) {
    if (!connected.hears_of(worker)) {
      connected.link.flush();
      ASSERT_TRUE(connected.hears_of(worker)) << worker << " of " << sent;
    }
  }
  connected.link.flush();
  EXPECT_FALSE(connected.link.has_unsent());
}

TEST(AppdLink, KeepsTheExitsThatASlowAppdDidNotLiveToRead) {
  Connected connected;
  std::uint32_t sent = 0;
  while (!connected.link.has_unsent()) connected.link.send(exited(++sent));
  connected.appd.close();
  EXPECT_FALSE(connected.link.receive().has_value());

  auto pair = message::channel_pair();
  connected.appd = std::move(pair->first);
  connected.link.adopt(pair->second.release());
  connected.link.send_kept();
  EXPECT_TRUE(connected.hears_of(sent));
}

TEST(AppdLink, BreaksOffWithAnAppdThatSendsNoMessage) {
  Connected connected;
  constexpr char kGarbage[] = "\xff garbage";
  ASSERT_GT(::send(connected.appd.fd(), kGarbage, sizeof(kGarbage), 0), 0);
  EXPECT_FALSE(connected.link.receive().has_value());
  EXPECT_FALSE(connected.link.connected());
}

}  // namespace
}  // namespace appd::zygote
