// The turns, and who is told of what.
#include "supervisor/runtime/log_reader.h"

#include <pthread.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>

namespace appd::runtime {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

// News are read together: an app that writes a thousand lines a second wakes nobody as often.
constexpr milliseconds kTogether{10};
// Where inotify has nothing left for us.
constexpr milliseconds kUnwatched{1'000};

}  // namespace

Result<std::unique_ptr<LogReader>> LogReader::start(std::string directory) {
  auto poller = TRY(Poller::create());
  UniqueFd inotify(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  const int fd = inotify.get();
  std::unique_ptr<LogReader> reader(
      new LogReader(std::move(directory), std::move(poller), std::move(inotify)));
  LogReader* self = reader.get();
  if (fd >= 0) TRY(self->poller_->add(fd, EPOLLIN, [self](std::uint32_t) { self->read_events(); }));
  self->thread_ = std::thread([self] { self->run(); });
  return reader;
}

LogReader::LogReader(std::string directory, std::unique_ptr<Poller> poller, UniqueFd inotify)
    : directory_(std::move(directory)), poller_(std::move(poller)), inotify_(std::move(inotify)) {}

LogReader::~LogReader() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  poller_->wake();
  if (thread_.joinable()) thread_.join();
}

void LogReader::post(std::function<void()> call) {
  {
    const std::lock_guard lock(mutex_);
    calls_.push_back(std::move(call));
  }
  poller_->wake();
}

std::unique_ptr<LogReader::Reading> LogReader::read(LogPaths paths, core::LogQuery query,
                                                    Deliver deliver) {
  std::uint64_t id = 0;
  {
    const std::lock_guard lock(mutex_);
    id = ++last_id_;
  }
  post(
      [this, id, paths = std::move(paths), query = std::move(query), deliver = std::move(deliver)] {
        auto entry = std::make_unique<Entry>();
        entry->id = id;
        entry->stream = std::make_unique<LogStream>(paths, query);
        entry->deliver = deliver;
        entries_.push_back(std::move(entry));
        if (entries_.size() == 1) watch_directory();
      });
  return std::unique_ptr<Reading>(new Reading(*this, id));
}

void LogReader::Reading::next() {
  reader_.post([&reader = reader_, id = id_] {
    for (auto& entry : reader.entries_) {
      if (entry->id == id) entry->asked = true;
    }
  });
}

LogReader::Reading::~Reading() {
  reader_.post([&reader = reader_, id = id_] {
    std::erase_if(reader.entries_, [id](const auto& entry) { return entry->id == id; });
    if (reader.entries_.empty() && reader.directory_watch_ >= 0) {
      ::inotify_rm_watch(reader.inotify_.get(), reader.directory_watch_);
      reader.directory_watch_ = -1;
    }
  });
}

void LogReader::run() {
  ::pthread_setname_np(::pthread_self(), "appd-log-reader");
  for (;;) {
    std::vector<std::function<void()>> calls;
    {
      const std::lock_guard lock(mutex_);
      if (ending_) return;
      calls.swap(calls_);
    }
    for (const auto& call : calls) call();
    const bool more = work();
    std::optional<Time> next;
    if (more) next = steady_clock::now();
    for (const auto& entry : entries_) {
      if (entry->asked && entry->due && (!next || *entry->due < *next)) next = entry->due;
    }
    poller_->wait(next);
  }
}

// One turn; true: somebody has more to do at once.
bool LogReader::work() {
  bool more = false;
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    Entry& entry = *entries_[i];
    if (!entry.asked) continue;
    if (entry.waits && !(entry.due && *entry.due <= steady_clock::now())) continue;
    entry.waits = false;
    entry.due.reset();
    more = step(entry) || more;
  }
  return more;
}

bool LogReader::step(Entry& entry) {
  switch (entry.stream->step()) {
    case LogStream::Step::More:
      return true;
    case LogStream::Step::Ready:
      entry.asked = false;
      entry.deliver({entry.stream->take_batch(), false, std::nullopt});
      return false;
    case LogStream::Step::Ended:
      entry.asked = false;
      entry.deliver({entry.stream->take_batch(), true, std::nullopt});
      return false;
    case LogStream::Step::Wait:
      break;
  }
  wait_for_news(entry);
  // What came before there was somebody to tell of it.
  switch (entry.stream->step()) {
    case LogStream::Step::Wait:
      entry.waits = true;
      return false;
    case LogStream::Step::Ready:
      entry.asked = false;
      entry.deliver({entry.stream->take_batch(), false, std::nullopt});
      return false;
    case LogStream::Step::More:
    case LogStream::Step::Ended:
      return true;
  }
  return true;
}

void LogReader::wait_for_news(Entry& entry) {
  entry.watches.clear();
  if (directory_watch_ < 0) watch_directory();
  bool told = directory_watch_ >= 0;
  for (int file : entry.stream->watched()) {
    const std::string path = "/proc/self/fd/" + std::to_string(file);
    // Others may wait by the same watch. IN_MASK_ADD: a mask that is replaced is empty for a
    // moment, and what is written in it would be told to nobody.
    const int watch =
        ::inotify_add_watch(inotify_.get(), path.c_str(), IN_MODIFY | IN_ONESHOT | IN_MASK_ADD);
    if (watch >= 0) entry.watches.push_back(watch);
    told = told && watch >= 0;
  }
  if (!told) entry.due = steady_clock::now() + kUnwatched;
}

void LogReader::watch_directory() {
  directory_watch_ =
      ::inotify_add_watch(inotify_.get(), directory_.c_str(),
                          IN_CREATE | IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR);
}

void LogReader::read_events() {
  alignas(inotify_event) char buffer[16 * 1024];
  for (;;) {
    const ssize_t size = ::read(inotify_.get(), buffer, sizeof(buffer));
    if (size <= 0) return;
    for (const char* at = buffer; at < buffer + size;) {
      const auto* event = reinterpret_cast<const inotify_event*>(at);
      at += sizeof(inotify_event) + event->len;
      const bool directory = event->wd == directory_watch_;
      if (directory && (event->mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED)) != 0) {
        directory_watch_ = -1;  // who waits looks every second from now on
      }
      const bool all = directory || (event->mask & IN_Q_OVERFLOW) != 0;
      // IN_IGNORED: the watch has gone with the one event that it was for. Somebody may have got it
      // anew between the two (inotify(7) gives the same number while it is there), and is told of
      // nothing any more.
      const bool news = (event->mask & (IN_MODIFY | IN_IGNORED)) != 0;
      if (all || news) note_news(all ? -1 : event->wd);
    }
  }
}

// For those who wait for this; -1: for all.
void LogReader::note_news(int watch) {
  const Time due = steady_clock::now() + kTogether;
  for (auto& entry : entries_) {
    const auto& watches = entry->watches;
    const bool its = watch < 0 || std::find(watches.begin(), watches.end(), watch) != watches.end();
    if (its && entry->waits && (!entry->due || due < *entry->due)) entry->due = due;
  }
}

}  // namespace appd::runtime
