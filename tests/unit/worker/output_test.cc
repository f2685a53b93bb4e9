// Output over a socket pair whose other end reads when it likes.
#include "worker/engine/output.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

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

TEST_F(OutputTest, SendsNothingOfWhatItHoldsUntilTheNextWrite) {
  EXPECT_TRUE(output_.hold("one ", "two "));
  EXPECT_TRUE(output_.hold("three ", {}));
  EXPECT_EQ(read_all(), "");
  EXPECT_EQ(output_.write(near_.get(), "four"), Output::State::Drained);
  EXPECT_EQ(read_all(), "one two three four");
  EXPECT_TRUE(output_.hold("five", {}));
  EXPECT_EQ(output_.flush(near_.get()), Output::State::Drained);
  EXPECT_EQ(read_all(), "five");
}

TEST_F(OutputTest, HoldsNoMoreThanALittle) {
  std::string most(Output::kHeld, 'x');
  EXPECT_FALSE(output_.hold(most, "y"));
  EXPECT_EQ(output_.pending(), 0U);
  EXPECT_TRUE(output_.hold(most, {}));
  EXPECT_FALSE(output_.hold("y", {}));
  EXPECT_EQ(output_.write(near_.get(), "y"), Output::State::Drained);
  EXPECT_EQ(read_all(), most + "y");
}

// A file in memory with these bytes in it.
UniqueFd file_of(std::string_view bytes) {
  UniqueFd file(::memfd_create("output-test", MFD_CLOEXEC));
  EXPECT_EQ(::write(file.get(), bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  return file;
}

TEST_F(OutputTest, SendsThePieceOfAFileAfterWhatIsBeforeIt) {
  EXPECT_EQ(output_.write_file(near_.get(), "head ", {file_of("0123456789"), 3, 4}),
            Output::State::Drained);
  EXPECT_EQ(read_all(), "head 3456");
  EXPECT_EQ(output_.write(near_.get(), "next"), Output::State::Drained);
  EXPECT_EQ(read_all(), "next");
}

TEST_F(OutputTest, SendsAFileOnAsTheSocketHasRoomAndHoldsNothingOfIt) {
  std::string content;
  for (int i = 0; i < 900'000; ++i) content += std::to_string(i);
  ASSERT_EQ(output_.write_file(near_.get(), "", {file_of(content), 0, content.size()}),
            Output::State::Pending);
  EXPECT_FALSE(output_.congested());
  std::string received;
  Output::State state = Output::State::Pending;
  while (received.size() < content.size()) {
    received += read_all();
    state = output_.flush(near_.get());
    ASSERT_NE(state, Output::State::Broken);
  }
  EXPECT_EQ(state, Output::State::Drained);
  EXPECT_TRUE(received == content);
}

TEST_F(OutputTest, KeepsTheHeadBeforeAFileWhenTheSocketIsFull) {
  std::string filler(4 << 20, 'x');
  ASSERT_EQ(output_.write(near_.get(), filler), Output::State::Pending);
  ASSERT_EQ(output_.write_file(near_.get(), "head", {file_of("file"), 0, 4}),
            Output::State::Pending);
  std::string received;
  while (received.size() < filler.size() + 8) {
    received += read_all();
    ASSERT_NE(output_.flush(near_.get()), Output::State::Broken);
  }
  EXPECT_TRUE(received.ends_with("xxheadfile"));
}

TEST_F(OutputTest, StopsAfterAStepOfAFileAlthoughThereIsRoom) {
  int room = 4 << 20;
  ::setsockopt(near_.get(), SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof(room));
  std::string content(Output::kFileStep + 1, 'x');
  FilePiece piece{file_of(content), 0, content.size()};
  ASSERT_EQ(output_.write_file(near_.get(), "", std::move(piece)), Output::State::Pending);
  if (output_.pending() > 1) GTEST_SKIP() << "may not make the socket's buffer this large";
  EXPECT_TRUE(output_.stopped_short());
  EXPECT_EQ(output_.flush(near_.get()), Output::State::Drained);
  EXPECT_FALSE(output_.stopped_short());
}

TEST_F(OutputTest, IsBrokenWhenAFileIsShorterThanWasSaid) {
  EXPECT_EQ(output_.write_file(near_.get(), "", {file_of("short"), 0, 6}), Output::State::Broken);
}

TEST_F(OutputTest, NoticesThatTheClientIsGone) {
  far_.reset();
  EXPECT_EQ(output_.write(near_.get(), "x"), Output::State::Broken);
}

}  // namespace
}  // namespace appd::engine
