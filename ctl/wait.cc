// Waiting costs one call (WaitOperation) and nothing else. On a terminal a second thread follows
// the app's events for the progress line; it starts late and is cancelled early, so it never delays
// the end.
#include "ctl/wait.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "ctl/duration.h"
#include "ctl/progress.h"
#include "ctl/render.h"

namespace appd::ctl {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds kWaitSlice{60'000};
// On a terminal the seconds on the progress line go on even when nothing happens.
constexpr milliseconds kLiveSlice{1'000};
// Most changes are done before this; showing them would be a flicker.
constexpr milliseconds kQuietStart{150};

// Feeds the progress line from the app's events on a thread of its own, until it is destroyed.
class LiveWatch {
 public:
  LiveWatch(Client& client, Progress& progress, const v1::Operation& operation)
      : client_(client),
        progress_(progress),
        app_(operation.app()),
        operation_(operation.name()),
        thread_([this] { follow(); }) {}

  ~LiveWatch() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
      if (stream_) stream_->cancel();
    }
    wake_.notify_all();
    thread_.join();
  }
  LiveWatch(const LiveWatch&) = delete;
  LiveWatch& operator=(const LiveWatch&) = delete;

 private:
  void follow() {
    {
      std::unique_lock lock(mutex_);
      if (wake_.wait_for(lock, kQuietStart, [this] { return stopping_; })) return;
      v1::WatchRequest request;
      request.set_app(app_);
      stream_.emplace(client_.watch(request));
    }
    v1::WatchResponse event;
    while (stream_->next(event)) {
      if (event.has_operation() && event.operation().name() == operation_) {
        progress_.show(event.operation());
      }
    }
    // A stream that breaks is no loss: the main thread's answers keep the line alive.
  }

  Client& client_;
  Progress& progress_;
  const std::string app_;
  const std::string operation_;
  std::mutex mutex_;  // guards stopping_ and the creation of stream_
  std::condition_variable wake_;
  bool stopping_ = false;
  std::optional<WatchStream> stream_;
  std::thread thread_;  // last: uses all of the above
};

ExitCode print_answer(Session& session, const Change& change, const v1::Operation& operation,
                      bool fresh) {
  if (!change.answer) return session.print_json(operation);
  if (!fresh) return session.print_json(*change.answer);
  v1::GetAppRequest request;
  request.set_name(change.answer->name());
  Outcome<v1::App> app = session.client().get_app(request);
  if (!app) return session.fail(app.error(), {"get " + change.app, change.app, "", {}});
  return session.print_json(*app);
}

}  // namespace

Outcome<Waited> wait_for(Session& session, v1::Operation operation,
                         std::optional<milliseconds> limit) {
  if (operation.done()) return Waited{std::move(operation)};
  const Clock::time_point began = Clock::now();
  const bool live = session.io().live;
  session.name_change(operation);
  Progress progress(session.io().err, session.io().err_style, live);
  std::optional<LiveWatch> watch;
  if (live) watch.emplace(session.client(), progress, operation);
  while (true) {
    milliseconds slice = live ? kLiveSlice : kWaitSlice;
    if (limit) {
      const auto left = *limit - std::chrono::duration_cast<milliseconds>(Clock::now() - began);
      if (left <= milliseconds(0)) return Waited{std::move(operation), true};
      slice = std::min(slice, left);
    }
    operation = TRY(session.client().wait_operation(operation.name(), slice));
    if (operation.done()) return Waited{std::move(operation)};
    progress.show(operation);
  }
}

ExitCode await_end(Session& session, const Change& change, const ChangeOptions& options,
                   v1::Operation& operation) {
  const std::string hint = follow_hint(operation);
  Outcome<Waited> waited = wait_for(session, std::move(operation), options.wait_timeout);
  if (!waited) {
    const ExitCode code =
        session.fail(waited.error(), {"wait for the end of " + change.doing, change.app, "", {}});
    session.note(hint);
    return code;
  }
  operation = std::move(waited->operation);
  if (waited->timed_out) {
    session.note(change.doing + ": not done after " +
                 format_duration(options.wait_timeout.value_or(milliseconds(0))) + " (" +
                 phase_text(operation.phase()) +
                 (operation.detail().empty() ? "" : ": " + escape_line(operation.detail())) +
                 "). " + hint);
    return ExitCode::Failed;
  }
  const ExitCode code = exit_code(operation);
  if (code != ExitCode::Done) {
    v1::GetAppRequest request;
    request.set_name(operation.app());
    Outcome<v1::App> now = session.client().get_app(request);
    session.complain(render_failure(operation, now ? &*now : nullptr, session.io().err_style));
  } else if (!session.json()) {
    ChangeSummary summary{change.what, change.ready_before,
                          std::chrono::duration_cast<milliseconds>(Clock::now() - change.began)};
    session.print(render_success(operation, summary));
  }
  if (operation.has_cut()) {
    session.complain(render_cut(operation.cut(), session.io().err_style));
  }
  return code;
}

void note_limits(Session& session, const v1::App& app) {
  const std::string& why = app.observed().limits_note();
  if (why.empty()) return;
  session.note(std::string(short_name(app.name())) +
               " runs without limits of memory, CPU or pids: " + escape_line(why));
}

ExitCode finish_change(Session& session, const Change& change, const ChangeOptions& options,
                       v1::Operation operation) {
  if (change.answer) note_limits(session, *change.answer);
  if (options.no_wait) {
    if (session.json()) return print_answer(session, change, operation, false);
    session.print(escape_line(operation.name()) + "\n");
    return ExitCode::Done;
  }
  const ExitCode code = await_end(session, change, options, operation);
  if (!session.json() || code == ExitCode::Unreachable) return code;
  const ExitCode printed = print_answer(session, change, operation, true);
  return code == ExitCode::Done ? printed : code;
}

}  // namespace appd::ctl
