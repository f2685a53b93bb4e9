// Output over a socket pair whose other end reads when it likes.
#include "worker/engine/output.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include "common/unique_fd.h"

namespace appd::engine {
namespace {

class OutputTest : public testing::Test {
 protected:
  OutputTest() {
    int ends[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    near_ = UniqueFd(ends[0]);
    far_ = UniqueFd(ends[1]);
  }
  std::string read_all() {
    std::string all(1 << 20, '\0');
    ssize_t got = ::recv(far_.get(), all.data(), all.size(), 0);
    all.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    return all;
  }

  UniqueFd near_;
  UniqueFd far_;
  Output output_;
};

TEST_F(OutputTest, SendsBothPiecesAtOnce) {
  EXPECT_EQ(output_.write(near_.get(), "head", "body"), Output::State::Drained);
  EXPECT_EQ(read_all(), "headbody");
}

TEST_F(OutputTest, KeepsTheOrderThroughMemoryAndFile) {
  std::string sent;
  for (int i = 0; i < 40; ++i) {
    std::string piece(100'000, static_cast<char>('a' + i % 26));
    ASSERT_NE(output_.write(near_.get(), piece), Output::State::Broken);
    sent += piece;
  }
  EXPECT_GT(output_.pending(), Output::kMemory) << "some of it is in a file";
  std::string received;
  while (received.size() < sent.size()) {
    received += read_all();
    ASSERT_NE(output_.flush(near_.get()), Output::State::Broken);
  }
  EXPECT_TRUE(received == sent);
  EXPECT_EQ(output_.pending(), 0U);
  EXPECT_EQ(output_.write(near_.get(), "again"), Output::State::Drained);
}

TEST_F(OutputTest, NoticesThatTheClientIsGone) {
  far_.reset();
  EXPECT_EQ(output_.write(near_.get(), "x"), Output::State::Broken);
}

}  // namespace
}  // namespace appd::engine
