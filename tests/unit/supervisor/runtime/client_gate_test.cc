// Who makes way when an entrance is full.
#include "supervisor/runtime/client_gate.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <condition_variable>
#include <mutex>
#include <thread>

#include "tests/support/temporary_directory.h"

namespace appd::runtime {
namespace {

using namespace std::chrono_literals;
const std::string kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const std::string kGoAway("\0\0\x8\x7\0\0\0\0\0\0\0\0\0\0\0\0\0", 17);

class ClientGateTest : public testing::Test {
 protected:
  ClientGateTest() {
    thread_ = std::thread([this] {
      gate_->run({[this](UniqueFd client, ConnectionPtr connection) {
                    const std::lock_guard lock(mutex_);
                    in_.emplace_back(std::move(client), std::move(connection));
                    came_.notify_all();
                  },
                  [] {}});
    });
  }
  ~ClientGateTest() override {
    gate_->stop();
    thread_.join();
  }

  // One who connects and says that it speaks HTTP/2, and what the gate makes of it.
  struct Guest {
    UniqueFd client;
    ConnectionPtr connection;
  };
  UniqueFd knock() {
    UniqueFd client(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path_.copy(address.sun_path, sizeof(address.sun_path) - 1);
    APPD_CHECK(
        ::connect(client.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0);
    const timeval patience{20, 0};
    ::setsockopt(client.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    APPD_CHECK(::write(client.get(), kPreface.data(), kPreface.size()) ==
               static_cast<ssize_t>(kPreface.size()));
    return client;
  }
  Guest come() {
    std::size_t before = 0;
    {
      const std::lock_guard lock(mutex_);
      before = in_.size();
    }
    Guest guest{knock(), nullptr};
    std::unique_lock lock(mutex_);
    APPD_CHECK(came_.wait_for(lock, 20s, [&] { return in_.size() > before; }));
    guest.connection = in_.back().second;
    return guest;
  }
  std::vector<Guest> fill() {
    std::vector<Guest> guests;
    while (guests.size() < ClientGate::kMostClients) guests.push_back(come());
    return guests;
  }
  // What it is told before anything else.
  static std::string last_words(const Guest& guest) {
    char bytes[17];
    const ssize_t size = ::recv(guest.client.get(), bytes, sizeof(bytes), MSG_WAITALL);
    return {bytes, size > 0 ? static_cast<std::size_t>(size) : 0};
  }
  static bool is_in(const Guest& guest) {
    char byte = 0;
    return ::recv(guest.client.get(), &byte, 1, MSG_DONTWAIT | MSG_PEEK) < 0 && errno == EAGAIN;
  }

  const test::TemporaryDirectory folder_;
  const std::string path_ = folder_.path("gate.sock");
  std::unique_ptr<ClientGate> gate_ =
      *ClientGate::open({*model::parse_entrance("unix:" + path_)}, 1h);
  std::thread thread_;
  std::mutex mutex_;
  std::condition_variable came_;
  std::vector<std::pair<UniqueFd, ConnectionPtr>> in_;
};

TEST_F(ClientGateTest, WhoIsIdleLongestMakesWayAndIsToldToComeAgain) {
  const std::vector<Guest> guests = fill();
  // The oldest has had a call since all others came.
  ASSERT_TRUE(guests[0].connection->begin_call());
  guests[0].connection->end_call();
  const Guest late = come();
  EXPECT_EQ(last_words(guests[1]), kGoAway);
  EXPECT_FALSE(guests[1].connection->begin_call()) << "no call of it is served any more";
  EXPECT_TRUE(is_in(late) && is_in(guests[0]) && is_in(guests[2]));
}

TEST_F(ClientGateTest, WhoIsToldToComeAgainMayEndTheConnectionItself) {
  std::vector<Guest> guests = fill();
  for (std::size_t i = 0; i <= ClientGate::kMostLeaving; ++i) guests.push_back(come());
  // It was asked first; so many have been since that it is not waited for any longer.
  EXPECT_EQ(last_words(guests[0]), kGoAway);
  EXPECT_EQ(last_words(guests[0]), "");
  EXPECT_EQ(last_words(guests[1]), kGoAway);
  EXPECT_TRUE(is_in(guests[1])) << "what it still sends does not fail";
}

TEST_F(ClientGateTest, WhoHasACallInHandStays) {
  const std::vector<Guest> guests = fill();
  for (std::size_t i = 0; i < guests.size(); ++i) {
    if (i != 77) {
      ASSERT_TRUE(guests[i].connection->begin_call());
    }
  }
  const Guest late = come();
  EXPECT_EQ(last_words(guests[77]), kGoAway);
  EXPECT_TRUE(is_in(late) && is_in(guests[0]));
}

TEST_F(ClientGateTest, WhileAllHaveCallsInHandTheNextOneWaits) {
  std::vector<Guest> guests = fill();
  for (const Guest& guest : guests) ASSERT_TRUE(guest.connection->begin_call());
  const UniqueFd late = knock();
  guests[9].connection->end_call();
  std::unique_lock lock(mutex_);
  EXPECT_TRUE(came_.wait_for(lock, 20s, [&] { return in_.size() > guests.size(); }));
  lock.unlock();
  EXPECT_EQ(last_words(guests[9]), kGoAway);
}

}  // namespace
}  // namespace appd::runtime
