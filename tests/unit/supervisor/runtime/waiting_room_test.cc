// Who is let in, and who is shown out.
#include "supervisor/runtime/waiting_room.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <vector>

namespace appd::runtime {
namespace {

using namespace std::chrono_literals;
const std::string kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

class Waiting : public testing::Test {
 protected:
  // A client that has connected at `now_`; the other end of its connection.
  UniqueFd come() {
    int ends[2];
    APPD_CHECK(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == 0);
    room_.hold(UniqueFd(ends[0]), now_,
               [this](UniqueFd client) { in_.push_back(std::move(client)); });
    return UniqueFd(ends[1]);
  }
  void say(const UniqueFd& client, const std::string& text) {
    ASSERT_EQ(::write(client.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
    poller_->wait(std::chrono::steady_clock::now() + 5s);
  }
  static bool is_shown_out(const UniqueFd& client) {
    char byte = 0;
    return ::recv(client.get(), &byte, 1, MSG_DONTWAIT) == 0 || errno == ECONNRESET;
  }

  std::unique_ptr<Poller> poller_ = *Poller::create();
  WaitingRoom room_{*poller_};
  Poller::Time now_{1h};
  std::vector<UniqueFd> in_;
};

TEST_F(Waiting, ThePrefaceLetsInAndIsLeftToBeRead) {
  const UniqueFd client = come();
  EXPECT_TRUE(in_.empty());
  say(client, kPreface + "more");
  ASSERT_EQ(in_.size(), 1u);
  char bytes[100];
  EXPECT_EQ(::read(in_[0].get(), bytes, sizeof(bytes)), static_cast<ssize_t>(kPreface.size() + 4));
  EXPECT_FALSE(room_.expire(now_ + 1h).has_value());
  EXPECT_FALSE(is_shown_out(client));
}

TEST_F(Waiting, ThePrefaceMayComeInPieces) {
  const UniqueFd client = come();
  say(client, kPreface.substr(0, 10));
  EXPECT_TRUE(in_.empty());
  EXPECT_FALSE(is_shown_out(client));
  say(client, kPreface.substr(10));
  EXPECT_EQ(in_.size(), 1u);
}

TEST_F(Waiting, WhoSaysSomethingElseIsShownOut) {
  const UniqueFd client = come();
  say(client, "GET / HTTP/1.1\r\n\r\n");
  EXPECT_TRUE(is_shown_out(client));
  const UniqueFd almost = come();
  say(almost, kPreface.substr(0, 20) + "XXXX");
  EXPECT_TRUE(is_shown_out(almost));
  EXPECT_TRUE(in_.empty());
}

TEST_F(Waiting, WhoIsSilentIsShownOutInTime) {
  const UniqueFd early = come();
  now_ += 1s;
  const UniqueFd late = come();
  EXPECT_EQ(room_.expire(now_), Poller::Time(1h + WaitingRoom::kPatience));
  EXPECT_EQ(room_.expire(Poller::Time(1h + WaitingRoom::kPatience)), now_ + WaitingRoom::kPatience);
  EXPECT_TRUE(is_shown_out(early));
  EXPECT_FALSE(is_shown_out(late));
}

TEST_F(Waiting, WhoHasWaitedLongestMakesRoom) {
  std::vector<UniqueFd> clients;
  for (std::size_t i = 0; i < WaitingRoom::kSeats + 2; ++i) clients.push_back(come());
  EXPECT_TRUE(is_shown_out(clients[0]));
  EXPECT_TRUE(is_shown_out(clients[1]));
  EXPECT_FALSE(is_shown_out(clients[2]));
  say(clients.back(), kPreface);
  EXPECT_EQ(in_.size(), 1u);
}

TEST_F(Waiting, WhoHasSpokenIsLetInAndMakesNoRoom) {
  std::vector<UniqueFd> crowd;
  for (std::size_t i = 0; i < WaitingRoom::kSeats; ++i) crowd.push_back(come());
  ASSERT_EQ(::write(crowd[0].get(), kPreface.data(), kPreface.size()),
            static_cast<ssize_t>(kPreface.size()));
  crowd.push_back(come());  // before the room has heard of it
  EXPECT_EQ(in_.size(), 1u);
  for (const UniqueFd& client : crowd) EXPECT_FALSE(is_shown_out(client));
}

TEST_F(Waiting, WhoGoesLeavesNothing) {
  for (const std::string& said : {std::string(), kPreface.substr(0, 10)}) {
    UniqueFd client = come();
    if (!said.empty()) say(client, said);
    EXPECT_TRUE(room_.expire(now_).has_value());
    client.reset();
    poller_->wait(std::chrono::steady_clock::now() + 5s);
    EXPECT_FALSE(room_.expire(now_).has_value());
  }
}

}  // namespace
}  // namespace appd::runtime
