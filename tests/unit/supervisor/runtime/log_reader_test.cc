// The reader's thread: who is told of what, and what nobody is made to wait for.
#include "supervisor/runtime/log_reader.h"

#include <gtest/gtest.h>
#include <time.h>

#include <filesystem>

#include "tests/support/eventually.h"
#include "tests/support/temporary_directory.h"

namespace appd::runtime {
namespace {

using test::eventually;

class LogReaderTest : public testing::Test {
 protected:
  // One client: what it was given, and whether it asks for more at once.
  struct Client {
    std::mutex mutex;  // guards what follows
    std::string lines;
    int batches = 0;
    bool ended = false;
    bool eager = true;
    std::unique_ptr<LogReader::Reading> reading;
  };

  LogReaderTest() {
    auto reader = LogReader::start(directory_.path());
    APPD_CHECK(reader.has_value());
    reader_ = *std::move(reader);
  }

  std::shared_ptr<Client> ask(bool follow, bool eager = true) {
    auto client = std::make_shared<Client>();
    client->eager = eager;
    core::LogQuery query;
    query.follow = follow;
    auto reading = reader_->read({directory_.path("web.log"), ""}, query,
                                 [weak = std::weak_ptr(client)](core::LogBatch batch) {
                                   const auto c = weak.lock();
                                   if (c == nullptr) return;
                                   const std::lock_guard lock(c->mutex);
                                   for (const core::LogEntry& entry : batch.entries)
                                     c->lines += entry.line + ",";
                                   ++c->batches;
                                   c->ended = batch.ended;
                                   if (!batch.ended && c->eager) c->reading->next();
                                 });
    const std::lock_guard lock(client->mutex);
    client->reading = std::move(reading);
    client->reading->next();
    return client;
  }
  static bool gets(Client& client, const std::string& lines) {
    return eventually([&] {
      const std::lock_guard lock(client.mutex);
      return client.lines == lines;
    });
  }
  // CPU time of this whole process.
  static std::chrono::nanoseconds used() {
    timespec time{};
    ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
  }

  test::TemporaryDirectory directory_;
  std::unique_ptr<LogReader> reader_;
};

TEST_F(LogReaderTest, GivesWhatThereIsAndEnds) {
  directory_.write("web.log", "a\nb\n");
  auto client = ask(false);
  EXPECT_TRUE(gets(*client, "a,b,"));
  EXPECT_TRUE(eventually([&] {
    const std::lock_guard lock(client->mutex);
    return client->ended;
  }));
}

TEST_F(LogReaderTest, TellsFollowersOfEachLine) {
  auto one = ask(true);
  auto other = ask(true);
  std::string all;
  for (int i = 0; i < 20; ++i) {
    const std::string line = "line " + std::to_string(i);
    all += line + ",";
    directory_.write("web.log", line + "\n");
    EXPECT_TRUE(gets(*one, all));
    EXPECT_TRUE(gets(*other, all));
  }
}

TEST_F(LogReaderTest, TellsFollowersThroughRotations) {
  auto client = ask(true);
  std::string all;
  for (int i = 0; i < 10; ++i) {
    const std::string line = "line " + std::to_string(i);
    all += line + ",";
    directory_.write("web.log", line + "\n");
    ASSERT_TRUE(rotate_log(directory_.path("web.log"), 20));
  }
  EXPECT_TRUE(gets(*client, all));
}

TEST_F(LogReaderTest, ASlowClientIsNotReadFor) {
  std::string text;
  for (int i = 0; i < 100'000; ++i) text += "a line of some length for a slow client\n";
  directory_.write("web.log", text);
  auto slow = ask(true, false);
  directory_.write("web.log", "end\n");
  auto quick = ask(false);
  EXPECT_TRUE(eventually([&] {
    const std::lock_guard lock(quick->mutex);
    return quick->ended;
  }));
  const std::lock_guard lock(slow->mutex);
  EXPECT_EQ(slow->batches, 1);
  EXPECT_LT(slow->lines.size(), 300'000U);
}

TEST_F(LogReaderTest, AHundredFollowersOfAQuietLogCostNothing) {
  directory_.write("web.log", "a\n");
  std::vector<std::shared_ptr<Client>> clients;
  for (int i = 0; i < 100; ++i) clients.push_back(ask(true));
  for (auto& client : clients) EXPECT_TRUE(gets(*client, "a,"));
  const auto before = used();
  timespec second{1, 0};
  ::nanosleep(&second, nullptr);  // what is measured is that nothing happens meanwhile
  EXPECT_LT(used() - before, std::chrono::milliseconds(20));
}

}  // namespace
}  // namespace appd::runtime
