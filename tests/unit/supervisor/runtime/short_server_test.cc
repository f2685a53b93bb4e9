// Clients that ask, clients that do not, and more of them than there is room for.
#include "supervisor/runtime/short_server.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <list>

#include "supervisor/model/address.h"
#include "tests/support/temporary_directory.h"

namespace appd::runtime {
namespace {

using namespace std::chrono_literals;

class ShortServerTest : public testing::Test {
 protected:
  void start(std::chrono::milliseconds patience = 60s) {
    auto server = ShortServer::start({address()}, answer, patience);
    ASSERT_TRUE(server) << server.error().message;
    server_ = *std::move(server);
  }
  std::string address() const { return "unix:" + folder_.path("s"); }
  // A line is answered with itself twice; "long" with more than a socket takes at once.
  static std::optional<std::string> answer(std::string_view received) {
    if (received.find('\n') == std::string_view::npos) return std::nullopt;
    if (received == "long\n") return std::string(8 << 20, 'x');
    return std::string(received) + std::string(received);
  }
  UniqueFd connect() {
    UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const auto where = model::to_socket_address(model::parse_address(address()).value());
    EXPECT_EQ(::connect(fd.get(), where.get(), where.length), 0);
    timeval limit{20, 0};
    ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    return fd;
  }
  static void send(const UniqueFd& fd, std::string_view text) {
    EXPECT_EQ(::send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(text.size()));
  }
  // All that comes until the other side ends.
  static std::string rest(const UniqueFd& fd) {
    std::string all;
    char bytes[65536];
    ssize_t got = 0;
    while ((got = ::recv(fd.get(), bytes, sizeof(bytes), 0)) > 0) {
      all.append(bytes, static_cast<std::size_t>(got));
    }
    EXPECT_EQ(got, 0) << "the connection was not ended";
    return all;
  }

  test::TemporaryDirectory folder_;
  std::unique_ptr<ShortServer> server_;
};

TEST_F(ShortServerTest, AnswersWhatComesInPieces) {
  start();
  const UniqueFd client = connect();
  send(client, "a");
  send(client, "b\n");
  EXPECT_EQ(rest(client), "ab\nab\n");
}

TEST_F(ShortServerTest, SendsALongAnswerAsTheClientTakesIt) {
  start();
  const UniqueFd slow = connect();
  send(slow, "long\n");
  const UniqueFd quick = connect();
  send(quick, "x\n");
  EXPECT_EQ(rest(quick), "x\nx\n");
  EXPECT_EQ(rest(slow).size(), 8U << 20);
}

TEST_F(ShortServerTest, EndsWhoSaysNothing) {
  start(50ms);
  EXPECT_EQ(rest(connect()), "");
}

TEST_F(ShortServerTest, ServesThoseBeyondItsBoundWhenOthersHaveGone) {
  start();
  std::list<UniqueFd> silent;
  for (std::size_t i = 0; i < ShortServer::kMostClients; ++i) silent.push_back(connect());
  const UniqueFd late = connect();
  send(late, "x\n");
  silent.pop_back();
  EXPECT_EQ(rest(late), "x\nx\n");
}

TEST_F(ShortServerTest, IsClosedToOthersAndLeavesNoSocketBehind) {
  start();
  struct stat status {};
  ASSERT_EQ(::lstat(folder_.path("s").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600U);
  EXPECT_FALSE(ShortServer::start({address()}, answer)) << "somebody listens there";
  server_.reset();
  EXPECT_FALSE(folder_.has("s"));
}

}  // namespace
}  // namespace appd::runtime
