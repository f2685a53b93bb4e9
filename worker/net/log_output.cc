// Prefixes, the single write, and the count of what was lost.
#include "worker/net/log_output.h"

#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <ctime>
#include <new>

#include "worker/net/clock.h"
#include "worker/net/log_files.h"

namespace appd::net {
namespace {

constexpr std::size_t kMaxChunk = 64 * 1024;
constexpr std::int64_t kRoomAgainMs = 1000;

LogLoss own_loss;  // until there is a scoreboard
std::atomic<LogLoss*> loss = &own_loss;
std::atomic<bool> prefix_on = false;
std::array<char, 32> writer;  // "7/3"; written before there are threads
std::size_t writer_size = 0;
std::array<std::atomic<bool>, 2> within_line;  // of descriptors 1 and 2
AccessBatch own_batch;
AccessBatch* batch = &own_batch;

std::string_view own_writer() { return {writer.data(), writer_size}; }

// "2026-11-25T00:31:07.123Z 7/3 "
void append_prefix(std::string& out, std::string_view name) {
  thread_local std::time_t second = -1;
  thread_local char text[32];
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  if (now.tv_sec != second) {
    second = now.tv_sec;
    std::tm utc{};
    ::gmtime_r(&second, &utc);
    std::strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S.", &utc);
  }
  auto ms = static_cast<unsigned>(now.tv_nsec / 1'000'000);
  const char digits[] = {static_cast<char>('0' + ms / 100), static_cast<char>('0' + ms / 10 % 10),
                         static_cast<char>('0' + ms % 10), 'Z'};
  out.append(text, 20).append(digits, sizeof(digits));
  out.append(1, ' ').append(name).append(1, ' ');
}

bool has_prefix(std::string_view name) {
  return !name.empty() && prefix_on.load(std::memory_order_relaxed);
}

std::int64_t monotonic_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(steady_now().time_since_epoch())
      .count();
}

void count_loss(std::string_view lost, bool torn) {
  auto lines = static_cast<std::uint64_t>(std::count(lost.begin(), lost.end(), '\n'));
  LogLoss& counts = *loss.load(std::memory_order_relaxed);
  counts.lines.fetch_add(lines, std::memory_order_relaxed);
  counts.bytes.fetch_add(lost.size(), std::memory_order_relaxed);
  counts.failed_ms.store(monotonic_ms(), std::memory_order_relaxed);
  if (torn) counts.torn.store(1, std::memory_order_relaxed);
  counts.untold_lines.fetch_add(lines, std::memory_order_relaxed);
  counts.untold_bytes.fetch_add(lost.size(), std::memory_order_relaxed);
}

// How much of it was written.
std::size_t write_all(int descriptor, std::string_view text) {
  std::size_t done = 0;
  while (done < text.size()) {
    ssize_t count = ::write(descriptor, text.data() + done, text.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;
    done += static_cast<std::size_t>(count);
  }
  return done;
}

// Whoever takes the count tells it; if even that cannot be written, it is put back. On a disk that
// is nearly full short writes still succeed among others that fail: that is not room yet.
void tell_loss(LogLoss& counts) {
  if (monotonic_ms() - counts.failed_ms.load(std::memory_order_relaxed) < kRoomAgainMs) return;
  std::uint64_t bytes = counts.untold_bytes.exchange(0);
  if (bytes == 0) return;
  std::uint64_t lines = counts.untold_lines.exchange(0);
  std::string line;
  if (has_prefix(own_writer())) append_prefix(line, own_writer());
  line.append("level=warn event=log_lost lines=").append(std::to_string(lines));
  line.append(" bytes=").append(std::to_string(bytes)).append(1, '\n');
  std::size_t done = write_all(2, line);
  if (done == line.size()) return;
  if (done > 0) counts.torn.store(1);
  counts.failed_ms.store(monotonic_ms());
  counts.untold_lines.fetch_add(lines);
  counts.untold_bytes.fetch_add(bytes);
}

// After a loss: ends the half line that it may have left, and tells of it.
void recover() {
  LogLoss& counts = *loss.load(std::memory_order_relaxed);
  if (counts.untold_bytes.load(std::memory_order_relaxed) == 0) return;
  if (counts.torn.exchange(0) != 0 && write_all(2, "\n") == 0) counts.torn.store(1);
  tell_loss(counts);
}

void write_counted(int descriptor, std::string_view text) {
  recover();
  std::size_t done = write_all(descriptor, text);
  if (done < text.size()) count_loss(text.substr(done), done > 0);
}

// A line too long to be copied: prefix and line in one call.
void write_long(int descriptor, std::string_view prefix, std::string_view line) {
  recover();
  iovec parts[] = {{const_cast<char*>(prefix.data()), prefix.size()},
                   {const_cast<char*>(line.data()), line.size()}};
  ssize_t count = ::writev(descriptor, parts, 2);
  std::size_t done = count < 0 ? 0 : static_cast<std::size_t>(count);
  if (done < prefix.size()) return count_loss(line, done > 0);
  done -= prefix.size();
  done += write_all(descriptor, line.substr(done));
  if (done < line.size()) count_loss(line.substr(done), true);
}

// `begins`: with a line, not in the middle of one.
void write_prefixed(int descriptor, std::string_view name, bool begins, std::string_view text) {
  thread_local std::string chunk;
  while (!text.empty()) {
    std::size_t size = std::min(text.find('\n'), text.size() - 1) + 1;
    if (chunk.size() + size > kMaxChunk && !chunk.empty()) {
      write_counted(descriptor, chunk);
      chunk.clear();
    }
    if (begins) append_prefix(chunk, name);
    if (size > kMaxChunk) {
      write_long(descriptor, chunk, text.substr(0, size));
      chunk.clear();
    } else {
      chunk.append(text.substr(0, size));
    }
    text.remove_prefix(size);
    begins = true;
  }
  if (!chunk.empty()) write_counted(descriptor, chunk);
  chunk.clear();
}

}  // namespace

void set_log_writer(std::string_view name) {
  writer_size = std::min(name.size(), writer.size());
  std::copy_n(name.data(), writer_size, writer.data());
}
void set_log_prefix(bool on) { prefix_on = on; }
void set_log_loss(LogLoss* counts) { loss = counts == nullptr ? &own_loss : counts; }

void write_log(int descriptor, std::string_view text) {
  if (text.empty()) return;
  if (!has_prefix(own_writer())) return write_counted(descriptor, text);
  std::atomic<bool>& within = within_line[descriptor == 1 ? 0 : 1];
  bool begins = !within.load(std::memory_order_relaxed);
  within.store(text.back() != '\n', std::memory_order_relaxed);
  write_prefixed(descriptor, own_writer(), begins, text);
}

void write_log_of(std::string_view name, bool begins, std::string_view text) {
  if (!has_prefix(name)) return write_counted(2, text);
  write_prefixed(2, name, begins, text);
}

void write_access_log(std::string_view text) {
  static std::atomic<bool> torn = false;
  recover();
  int own = access_log_descriptor();
  int descriptor = own < 0 ? 1 : own;
  if (torn.load(std::memory_order_relaxed) && write_all(descriptor, "\n") == 1) torn = false;
  std::size_t done = write_all(descriptor, text);
  if (done == text.size()) return;
  if (done > 0 && text[done - 1] != '\n') torn = true;
  count_loss(text.substr(done), false);
}

void AccessBatch::flush() {
  std::uint32_t used = used_.load(std::memory_order_acquire);
  if (used == 0) return;
  write_access_log({bytes_, std::min<std::size_t>(used, kCapacity)});
  used_.store(0, std::memory_order_release);
}

AccessBatch* share_access_batch() {
  void* memory = ::mmap(nullptr, sizeof(AccessBatch), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  return memory == MAP_FAILED ? nullptr : new (memory) AccessBatch;
}

void release_access_batch(AccessBatch* shared) {
  if (shared != nullptr) ::munmap(shared, sizeof(AccessBatch));
}

AccessBatch& access_batch() { return *batch; }

void set_access_batch(AccessBatch* shared) {
  if (shared != nullptr) batch = shared;
}

}  // namespace appd::net
