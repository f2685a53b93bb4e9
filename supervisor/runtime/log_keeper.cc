// inotify(7), looks, and rotations.
#include "supervisor/runtime/log_keeper.h"

#include <pthread.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace appd::runtime {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;
using std::chrono::system_clock;

// logrotate renames a file and makes the next one itself a moment later: its own comes first.
constexpr milliseconds kOthersFirst{100};
constexpr milliseconds kTryAgain{2'000};
// Where inotify has no watch left for us (fs.inotify.max_user_watches).
constexpr milliseconds kUnwatched{5'000};

void take_earlier(std::optional<Poller::Time>& to, Poller::Time time) {
  if (!to || time < *to) to = time;
}

}  // namespace

Result<std::unique_ptr<LogKeeper>> LogKeeper::start(std::string directory, Handlers handlers) {
  auto poller = TRY(Poller::create());
  UniqueFd inotify(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  const int fd = inotify.get();
  std::unique_ptr<LogKeeper> keeper(new LogKeeper(std::move(directory), std::move(handlers),
                                                  std::move(poller), std::move(inotify)));
  LogKeeper* self = keeper.get();
  // Without one (fs.inotify.max_user_instances) all is looked at every few seconds.
  if (fd >= 0) TRY(self->poller_->add(fd, EPOLLIN, [self](std::uint32_t) { self->read_events(); }));
  self->thread_ = std::thread([self] { self->run(); });
  return keeper;
}

LogKeeper::LogKeeper(std::string directory, Handlers handlers, std::unique_ptr<Poller> poller,
                     UniqueFd inotify)
    : directory_(std::move(directory)),
      handlers_(std::move(handlers)),
      poller_(std::move(poller)),
      inotify_(std::move(inotify)) {}

LogKeeper::~LogKeeper() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  poller_->wake();
  if (thread_.joinable()) thread_.join();
}

void LogKeeper::post(std::function<void()> call) {
  {
    const std::lock_guard lock(mutex_);
    calls_.push_back(std::move(call));
  }
  poller_->wake();
}

void LogKeeper::keep(std::string app, KeptLogs logs) {
  post([this, app = std::move(app), logs = std::move(logs)] { do_keep(app, logs); });
}

void LogKeeper::forget(std::string app) {
  post([this, app = std::move(app)] {
    auto it = apps_.find(app);
    if (it == apps_.end()) return;
    for (File& file : it->second.files) disarm(file);
    apps_.erase(it);
  });
}

void LogKeeper::reopen(std::string app, std::function<void()> done) {
  post([this, wanted = std::move(app), done = std::move(done)] {
    for (auto& [id, kept] : apps_) {
      if (wanted.empty() || id == wanted) renew(id, kept);
    }
    done();
  });
}

void LogKeeper::run() {
  ::pthread_setname_np(::pthread_self(), "appd-logs");
  watch_directory();
  for (;;) {
    std::vector<std::function<void()>> calls;
    {
      const std::lock_guard lock(mutex_);
      if (ending_) return;
      calls.swap(calls_);
    }
    for (const auto& call : calls) call();
    turn();
    poller_->wait(next_deadline());
  }
}

void LogKeeper::turn() {
  const Time now = steady_clock::now();
  if (directory_again_ && *directory_again_ <= now) watch_directory();
  for (auto& [id, app] : apps_) {
    if (app.renew_at && *app.renew_at <= now) renew(id, app);
    for (File& file : app.files) {
      if (file.look_at && *file.look_at <= now) look(id, app, file);
    }
  }
}

std::optional<LogKeeper::Time> LogKeeper::next_deadline() const {
  std::optional<Time> next = directory_again_;
  for (const auto& [id, app] : apps_) {
    if (app.renew_at) take_earlier(next, *app.renew_at);
    for (const File& file : app.files) {
      if (file.look_at) take_earlier(next, *file.look_at);
    }
  }
  return next;
}

void LogKeeper::do_keep(const std::string& id, KeptLogs logs) {
  App& app = apps_[id];
  const bool more = app.files.empty() || logs.access != app.logs.access;
  app.logs = std::move(logs);
  if (more) {
    for (File& file : app.files) disarm(file);
    app.files.clear();
    app.files.push_back({app.logs.paths.app, {}, {}, {}, {}, {}, -1});
    if (app.logs.access) app.files.push_back({app.logs.paths.access, {}, {}, {}, {}, {}, -1});
    renew(id, app);
  }
  for (File& file : app.files) {
    trim_logs(file.path, app.logs.policy.keep);
    file.look_at = steady_clock::now();
  }
}

// The files as their names say now, made if they are not there, for every process of the app.
void LogKeeper::renew(const std::string& id, App& app) {
  app.renew_at.reset();
  if (!stat_log(directory_)) watch_directory();  // not every file system tells that it went
  auto files = open_logs(app.logs.paths, app.logs.access);
  if (!files) {
    fail(id, app, std::move(files).error());
    app.renew_at = steady_clock::now() + kTryAgain;
    return;
  }
  app.failing = false;
  for (File& file : app.files) note_identity(file);
  handlers_.renewed(id, *std::move(files));
}

void LogKeeper::note_identity(File& file) {
  const auto found = stat_log(file.path);
  if (!found || file.identity == found->identity) return;
  disarm(file);
  file.identity = found->identity;
  file.size_before.reset();
  file.begun.reset();
  if (found->size > 0) file.begun = found->created.value_or(system_clock::now());
  file.look_at = steady_clock::now();
}

void LogKeeper::look(const std::string& id, App& app, File& file) {
  const Time now = steady_clock::now();
  file.look_at.reset();
  const auto found = stat_log(file.path);
  if (!found || found->identity != file.identity) {
    take_earlier(app.renew_at, now + kOthersFirst);
    return;
  }
  const bool began_anew = file.size_before && found->size < *file.size_before;
  if (found->size > 0 && (!file.begun || began_anew)) file.begun = system_clock::now();
  core::LogLook seen;
  seen.size = found->size;
  seen.begun = file.begun.value_or(system_clock::now());
  seen.size_before = file.size_before;
  seen.since_before = std::chrono::duration_cast<milliseconds>(now - file.looked_at);
  const core::LogDecision decision = core::decide(app.logs.policy, seen, system_clock::now());
  if (decision.rotate) {
    if (!rotate(id, app, file)) file.look_at = now + kTryAgain;
    return;
  }
  if (decision.look_again) file.look_at = now + *decision.look_again;
  const bool stands = file.size_before == found->size;
  file.size_before = found->size;
  file.looked_at = now;
  if (stands) arm(file);
}

bool LogKeeper::rotate(const std::string& id, App& app, File& file) {
  disarm(file);
  if (auto rotated = rotate_log(file.path, app.logs.policy.keep); !rotated) {
    fail(id, app, std::move(rotated).error());
    return false;
  }
  renew(id, app);
  return true;
}

// Told once of the next line. What was written before the watch was there is seen by a second look.
void LogKeeper::arm(File& file) {
  if (file.watch >= 0) return;
  file.watch = ::inotify_add_watch(inotify_.get(), file.path.c_str(), IN_MODIFY | IN_ONESHOT);
  if (file.watch < 0) {
    take_earlier(file.look_at, steady_clock::now() + kUnwatched);
    return;
  }
  const auto found = stat_log(file.path);
  const bool same = found && found->identity == file.identity && found->size == file.size_before;
  if (!same) file.look_at = steady_clock::now();
}

void LogKeeper::disarm(File& file) {
  if (file.watch >= 0) ::inotify_rm_watch(inotify_.get(), file.watch);
  file.watch = -1;
}

void LogKeeper::fail(const std::string& id, App& app, Error error) {
  if (!std::exchange(app.failing, true)) handlers_.failed(id, std::move(error));
}

void LogKeeper::read_events() {
  alignas(inotify_event) char buffer[16 * 1024];
  for (;;) {
    const ssize_t size = ::read(inotify_.get(), buffer, sizeof(buffer));
    if (size <= 0) return;
    for (const char* at = buffer; at < buffer + size;) {
      const auto* event = reinterpret_cast<const inotify_event*>(at);
      at += sizeof(inotify_event) + event->len;
      if ((event->mask & IN_Q_OVERFLOW) != 0) {
        on_name("");
      } else if (event->wd == directory_watch_) {
        constexpr std::uint32_t kGone = IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED | IN_UNMOUNT;
        if ((event->mask & kGone) != 0) {
          directory_again_ = steady_clock::now();
        } else {
          on_name(event->name);
        }
      } else {
        for (auto& [id, app] : apps_) {
          for (File& file : app.files) {
            if (file.watch != event->wd) continue;
            file.watch = -1;  // it was for one event
            file.look_at = steady_clock::now();
          }
        }
      }
    }
  }
}

// Something became of that name in the directory; "": of any.
void LogKeeper::on_name(const std::string& name) {
  for (auto& [id, app] : apps_) {
    for (File& file : app.files) {
      const bool its = name.empty() || file.path == directory_ + "/" + name;
      if (its) file.look_at = steady_clock::now();
    }
  }
}

// Also after somebody has removed it.
void LogKeeper::watch_directory() {
  directory_again_.reset();
  if (directory_watch_ >= 0) ::inotify_rm_watch(inotify_.get(), directory_watch_);
  ::mkdir(directory_.c_str(), 0700);
  directory_watch_ = ::inotify_add_watch(inotify_.get(), directory_.c_str(),
                                         IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO |
                                             IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR);
  if (directory_watch_ < 0) directory_again_ = steady_clock::now() + kTryAgain;
  on_name("");
}

}  // namespace appd::runtime
