// Channel: messages and descriptors over a SEQPACKET pair.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <string>

#include "common/messages.h"

namespace appd::message {
namespace {

std::size_t open_descriptors() {
  std::size_t count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd"))
    ++count;
  return count;
}

std::pair<Channel, Channel> pair() {
  auto ends = channel_pair();
  APPD_CHECK(ends);
  return std::move(ends).value();
}

TEST(Channel, DeliversMessagesInOrderAndWhole) {
  auto [left, right] = pair();
  ASSERT_TRUE(left.send(Fork{1}));
  ASSERT_TRUE(left.send(LoadFailed{false, "summary", std::string(kMaxTraceback, 'x')}));
  EXPECT_EQ(std::get<Fork>(right.receive()->message).worker, 1U);
  EXPECT_EQ(std::get<LoadFailed>(right.receive()->message).traceback.size(), kMaxTraceback);
}

TEST(Channel, EmptyOneSaysTryAgain) {
  auto [left, right] = pair();
  auto received = right.receive();
  ASSERT_FALSE(received);
  EXPECT_EQ(received.error().sys_errno, EAGAIN);
}

TEST(Channel, EndOfThePeerIsAReset) {
  auto [left, right] = pair();
  ASSERT_TRUE(left.send(Quit{}));
  left.close();
  EXPECT_TRUE(right.receive());
  auto received = right.receive();
  ASSERT_FALSE(received);
  EXPECT_EQ(received.error().sys_errno, ECONNRESET);
  EXPECT_FALSE(right.send(Quit{}));  // and no SIGPIPE
}

TEST(Channel, PassesDescriptorsCloseOnExec) {
  auto [left, right] = pair();
  std::array<int, 2> pipe_ends{};
  ASSERT_EQ(::pipe2(pipe_ends.data(), O_CLOEXEC), 0);
  UniqueFd read_end(pipe_ends[0]);
  UniqueFd write_end(pipe_ends[1]);
  ASSERT_TRUE(left.send(Load{}, pipe_ends));
  auto received = right.receive();
  ASSERT_TRUE(received);
  ASSERT_EQ(received->descriptors.size(), 2U);
  ASSERT_EQ(::write(received->descriptors[1].get(), "x", 1), 1);
  char byte = 0;
  EXPECT_EQ(::read(read_end.get(), &byte, 1), 1);
  EXPECT_EQ(byte, 'x');
  EXPECT_EQ(::fcntl(received->descriptors[0].get(), F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
}

TEST(Channel, GarbageIsRefusedAndItsDescriptorsAreClosed) {
  auto [left, right] = pair();
  std::size_t before = open_descriptors();
  char garbage = static_cast<char>(0xee);
  iovec part{&garbage, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof(control);
  cmsghdr* rights = CMSG_FIRSTHDR(&header);
  rights->cmsg_level = SOL_SOCKET;
  rights->cmsg_type = SCM_RIGHTS;
  rights->cmsg_len = CMSG_LEN(sizeof(int));
  int passed = STDERR_FILENO;
  std::memcpy(CMSG_DATA(rights), &passed, sizeof(passed));
  ASSERT_EQ(::sendmsg(left.fd(), &header, MSG_NOSIGNAL), 1);
  EXPECT_FALSE(right.receive());
  EXPECT_EQ(open_descriptors(), before);
  ASSERT_TRUE(left.send(Quit{}));  // the link itself goes on
  EXPECT_TRUE(right.receive());
}

TEST(Channel, OversizedDatagramIsRefused) {
  auto [left, right] = pair();
  int space = 4 * static_cast<int>(kMaxMessage);
  ::setsockopt(left.fd(), SOL_SOCKET, SO_SNDBUFFORCE, &space, sizeof(space));
  std::string huge(kMaxMessage + 1, '\0');
  if (::send(left.fd(), huge.data(), huge.size(), MSG_NOSIGNAL) < 0)
    GTEST_SKIP() << "the system sends none so large";
  EXPECT_FALSE(right.receive());
}

TEST(Channel, FullLinkSaysTryAgainAndLosesNothing) {
  auto [left, right] = pair();
  std::uint32_t sent = 0;
  Result<void> last;
  while ((last = left.send(Fork{sent}))) ++sent;
  EXPECT_EQ(last.error().sys_errno, EAGAIN);
  for (std::uint32_t i = 0; i < sent; ++i)
    EXPECT_EQ(std::get<Fork>(right.receive()->message).worker, i);
  EXPECT_TRUE(left.send(Fork{sent}));
}

}  // namespace
}  // namespace appd::message
