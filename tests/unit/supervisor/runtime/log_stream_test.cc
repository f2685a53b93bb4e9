// Queries against real files: what they find, and what they do when the files change under them.
#include "supervisor/runtime/log_stream.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <filesystem>

#include "tests/support/temporary_directory.h"

namespace appd::runtime {
namespace {

using core::LogEntry;
using core::LogQuery;
using core::LogSource;

// "2026-11-25T00:00:NN.000Z 7/W text"
std::string line(int second, int worker, const std::string& text) {
  char prefix[64];
  std::snprintf(prefix, sizeof(prefix), "2026-11-25T00:%02d:%02d.000Z 7/%d ", second / 60,
                second % 60, worker);
  return prefix + text + "\n";
}
const model::WallTime kMidnight{std::chrono::seconds(1'795'564'800)};

class LogStreamTest : public testing::Test {
 protected:
  LogPaths paths() const { return {directory_.path("web.log"), directory_.path("web.access.log")}; }
  void write(const std::string& text, const std::string& name = "web.log") {
    directory_.write(name, text);
  }
  void rotate(int keep = 5) { ASSERT_TRUE(rotate_log(directory_.path("web.log"), keep)); }

  void ask(LogQuery query) { stream_ = std::make_unique<LogStream>(paths(), std::move(query)); }
  // All that there is now.
  std::vector<LogEntry> entries() {
    std::vector<LogEntry> all;
    for (;;) {
      const LogStream::Step step = stream_->step();
      for (LogEntry& entry : stream_->take_batch()) all.push_back(std::move(entry));
      if (step == LogStream::Step::Wait || step == LogStream::Step::Ended) return all;
    }
  }
  // Their lines with commas between; "!" where some are missing before.
  std::string lines() {
    std::string text;
    for (const LogEntry& entry : entries()) {
      text += (text.empty() ? "" : ",") + std::string(entry.gap ? "!" : "") + entry.line;
    }
    return text;
  }
  std::string answer(LogQuery query) {
    ask(std::move(query));
    return lines();
  }

  test::TemporaryDirectory directory_;
  std::unique_ptr<LogStream> stream_;
};

LogQuery tail(std::int32_t count) {
  LogQuery query;
  query.tail = count;
  return query;
}
LogQuery follow() {
  LogQuery query;
  query.follow = true;
  return query;
}

TEST_F(LogStreamTest, ReadsEverythingOldestFirst) {
  for (const char* text : {"a\n", "b\n", "c\n"}) {
    rotate();
    write(text);
  }
  write("no end");
  EXPECT_EQ(answer({}), "a,b,c,no end");
}

TEST_F(LogStreamTest, ALogThatIsNotThereIsEmpty) { EXPECT_EQ(answer({}), ""); }

TEST_F(LogStreamTest, FindsTheLastLines) {
  write("a\nb\n");
  rotate();
  write("c\nd\n");
  EXPECT_EQ(answer(tail(0)), "");
  EXPECT_EQ(answer(tail(1)), "d");
  EXPECT_EQ(answer(tail(2)), "c,d");
  EXPECT_EQ(answer(tail(3)), "b,c,d");
  EXPECT_EQ(answer(tail(9)), "a,b,c,d");
}

TEST_F(LogStreamTest, FindsTheLastLinesInALargeFile) {
  std::string text;
  for (int i = 0; i < 200'000; ++i) text += "line " + std::to_string(i) + "\n";
  write(text);
  EXPECT_EQ(answer(tail(2)), "line 199998,line 199999");
  LogQuery query = tail(2);
  query.wanted = [](std::string_view line) { return line.size() == 6; };
  EXPECT_EQ(answer(query), "line 8,line 9") << "of those that match";
  ask(tail(100'000));
  EXPECT_EQ(entries().size(), 100'000U);
}

TEST_F(LogStreamTest, TakesLinesApart) {
  write(line(1, 3, "text") + "raw \xff\n");
  ask({});
  const std::vector<LogEntry> found = entries();
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].time, kMidnight + std::chrono::seconds(1));
  EXPECT_EQ(found[0].rollout, 7);
  EXPECT_EQ(found[0].worker, 3);
  EXPECT_EQ(found[0].line, "text");
  EXPECT_FALSE(found[1].time);
  EXPECT_EQ(found[1].line, "raw \xef\xbf\xbd");
}

TEST_F(LogStreamTest, SinceCountsALineWithoutTimeToTheOneBefore) {
  write(line(1, 1, "old") + "of old\n" + line(5, 1, "new") + "of new\n");
  LogQuery query;
  query.since = kMidnight + std::chrono::seconds(5);
  EXPECT_EQ(answer(query), "new,of new");
  query.tail = 1;
  EXPECT_EQ(answer(query), "of new");
}

TEST_F(LogStreamTest, SincePassesOverFilesThatWereFinishedBefore) {
  write("without time\n");
  rotate();
  std::filesystem::last_write_time(
      directory_.path("web.log.1"),
      std::filesystem::file_time_type::clock::now() - std::chrono::hours(2));
  write("new, without time\n");
  LogQuery query;
  query.since = std::chrono::system_clock::now() - std::chrono::hours(1);
  EXPECT_EQ(answer(query), "new, without time");
}

TEST_F(LogStreamTest, PicksAWorkersLines) {
  write(line(1, 1, "one") + line(2, 2, "two") + "nobody's\n" + line(3, 1, "again"));
  LogQuery query;
  query.worker = 1;
  EXPECT_EQ(answer(query), "one,again");
  query.tail = 1;
  EXPECT_EQ(answer(query), "again");
}

TEST_F(LogStreamTest, MergesBothLogsByTime) {
  write(line(1, 1, "a") + line(60, 1, "c"));
  write("x [25/Nov/2026:00:00:30 +0000] b\nx [25/Nov/2026:00:01:30 +0000] d\n", "web.access.log");
  LogQuery query;
  query.access = true;
  ask(query);
  std::string order;
  for (const LogEntry& entry : entries()) {
    order += entry.line.back();
    EXPECT_EQ(entry.source == LogSource::Access, entry.line.front() == 'x');
  }
  EXPECT_EQ(order, "abcd");
  query.tail = 3;
  ask(query);
  EXPECT_EQ(entries().front().line.back(), 'b') << "the last three of both together";
}

TEST_F(LogStreamTest, FollowsThroughRotations) {
  write("a\n");
  ask(follow());
  EXPECT_EQ(lines(), "a");
  write("b\n");
  rotate();
  EXPECT_EQ(lines(), "b");
  write("c\n");
  rotate();
  write("d\n");
  rotate();
  write("e\n");
  EXPECT_EQ(lines(), "c,d,e");
}

TEST_F(LogStreamTest, FollowsALateWriterOfTheFileBefore) {
  write("a\n");
  ask(follow());
  EXPECT_EQ(lines(), "a");
  rotate();
  write("c\n");
  EXPECT_EQ(lines(), "c");
  write("b, late\n", "web.log.1");
  EXPECT_EQ(lines(), "b, late");
}

TEST_F(LogStreamTest, WaitsForTheEndOfALine) {
  write("a\nhalf");
  ask(follow());
  EXPECT_EQ(lines(), "a");
  write(" and half\n");
  EXPECT_EQ(lines(), "half and half");
}

TEST_F(LogStreamTest, GoesOnAtTheBeginningOfATruncatedFile) {
  write("a long line\n");
  ask(follow());
  EXPECT_EQ(lines(), "a long line");
  std::filesystem::resize_file(directory_.path("web.log"), 0);
  EXPECT_EQ(lines(), "");
  write("b\n");
  EXPECT_EQ(lines(), "b");
}

TEST_F(LogStreamTest, SaysThatLinesWereRotatedAwayUnread) {
  write("a\n");
  ask(follow());
  EXPECT_EQ(lines(), "a");
  for (const char* text : {"b\n", "c\n", "d\n", "e\n"}) {
    rotate(1);
    write(text);
  }
  EXPECT_EQ(lines(), "!d,e");
}

TEST_F(LogStreamTest, FollowsALogThatIsNotThereYet) {
  LogQuery query = follow();
  query.tail = 0;
  ask(query);
  EXPECT_EQ(lines(), "");
  write("a\n");
  EXPECT_EQ(lines(), "a");
}

TEST_F(LogStreamTest, ACursorIsWhereAnotherQueryGoesOn) {
  write("a\nb\n");
  write("x\n", "web.access.log");
  LogQuery query;
  query.access = true;
  ask(query);
  std::string cursor;
  for (const LogEntry& entry : entries()) {
    EXPECT_TRUE(valid_cursor(entry.cursor));
    if (entry.line == "a") cursor = entry.cursor;
  }
  rotate();
  write("c\n");
  query.after = cursor;
  query.tail = 1;  // not looked at
  const std::string rest = answer(query);
  EXPECT_TRUE(rest == "b,c,x" || rest == "x,b,c" || rest == "b,x,c" || rest == "b,c") << rest;
  EXPECT_FALSE(valid_cursor("app="));
  EXPECT_FALSE(valid_cursor("app=1.2"));
  EXPECT_FALSE(valid_cursor("app=1.2.x"));
  EXPECT_FALSE(valid_cursor(""));
}

TEST_F(LogStreamTest, ACursorOfAFileThatIsGoneBeginsAtTheOldest) {
  write("a\n");
  ask({});
  const std::string cursor = entries().front().cursor;
  rotate(0);
  write("b\n", "other");  // takes the inode, perhaps
  write("c\n");
  LogQuery query;
  query.after = cursor;
  EXPECT_EQ(answer(query), "!c");
}

TEST_F(LogStreamTest, ALineOfHundredMegabytesIsItsBeginning) {
  write(std::string(100 << 20, 'x') + "\nnext\n");
  ask({});
  const std::vector<LogEntry> found = entries();
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].line.size(), core::LineSplitter::kMaxLine);
  EXPECT_TRUE(found[0].truncated);
  EXPECT_EQ(found[1].line, "next");
  EXPECT_EQ(answer(tail(1)), "next");
}

}  // namespace
}  // namespace appd::runtime
