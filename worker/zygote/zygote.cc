// The zygote's loop: appd's wishes in, forks and reports out.
#include "worker/zygote/zygote.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <fstream>
#include <iterator>

#include "common/failpoint.h"
#include "worker/net/clock.h"
#include "worker/net/log_files.h"
#include "worker/net/log_line.h"
#include "worker/net/log_output.h"
#include "worker/zygote/appd_link.h"
#include "worker/zygote/children.h"
#include "worker/zygote/command.h"
#include "worker/zygote/loading.h"
#include "worker/zygote/rollout.h"
#include "worker/zygote/run_once.h"
#include "worker/zygote/signals.h"
#include "worker/zygote/spawner.h"

namespace appd::zygote {
namespace {

// How long what workers leave behind may take to end after SIGTERM, and then after SIGKILL.
constexpr std::chrono::seconds kStrayGrace{1};

// Children of this thread, those that came to us as their subreaper included (proc(5)).
std::vector<pid_t> children_of_ours() {
  std::string self = std::to_string(::getpid());
  std::ifstream file("/proc/self/task/" + self + "/children");
  return {std::istream_iterator<pid_t>(file), {}};
}

std::string python_version() {
  std::string version = Py_GetVersion();
  return version.substr(0, version.find(' '));
}

UniqueFd open_to_append(const std::string& path) {
  if (path.empty()) return UniqueFd();
  UniqueFd file(::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640));
  if (!file) {
    net::LogLine("error", "log_not_reopened").add("path", path).add("errno", errno);
  }
  return file;
}

// Milliseconds for poll(2), never too few.
int timeout_until(net::TimePoint deadline) {
  if (deadline == net::kNever) return -1;
  auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - net::steady_now());
  return static_cast<int>(std::max<std::int64_t>(left.count(), 0));
}

// Owns the parts, and knows how far the rollout is: not loaded, loaded, or on its way out.
class Zygote {
 public:
  Zygote(const gateway::Hooks& hooks, UniqueFd control, Signals signals)
      : hooks_(hooks),
        signals_(std::move(signals)),
        link_(std::move(control)),
        children_(rollout_, link_),
        tasks_(launcher_),
        spawner_(rollout_, children_, link_, launcher_, hooks) {}

  void resume(UniqueFd from);
  // Returns in a worker with its setup, in the zygote when all is over.
  std::optional<WorkerSetup> run();

 private:
  void wait();
  void serve(std::span<const pollfd> polled);
  void greet();
  void read_link();
  void take(message::Received received);
  void load(message::Load load, std::vector<UniqueFd> descriptors);
  void prepared(message::Loaded loaded);
  void go_on_with_tasks();
  void report_loaded();
  void spawn(std::uint32_t worker);
  void tune(const message::Tune& tune);
  void quit();
  void reopen(std::vector<UniqueFd> files);
  void reopen_by_name();
  void reap();
  void end_strays();

  const gateway::Hooks& hooks_;
  Signals signals_;
  AppdLink link_;
  Rollout rollout_;
  gateway::PyRef app_;  // empty: workers import it
  Children children_;
  Launcher launcher_;
  RunOnce tasks_;
  Spawner spawner_;
  message::Stage stage_;     // as appd has told us
  bool has_loaded_ = false;  // Loaded was sent; workers can be forked
  bool met_appd_ = false;
  bool quitting_ = false;
  std::optional<WorkerSetup> become_;  // in a fork: what it is to be
};

std::optional<WorkerSetup> Zygote::run() {
  for (;;) {
    bool idle = children_.empty() && !tasks_.running();
    if (quitting_ && idle) break;
    bool nobodys = met_appd_ && !link_.connected();
    if (nobodys && idle && !has_loaded_ && !tasks_.present()) break;
    wait();
    if (Signals::quit_asked() && !quitting_) quit();
    if (Signals::take_reopen()) reopen_by_name();
    if (become_) return std::move(become_);
  }
  end_strays();
  children_.read_outputs_left();
  link_.flush();
  return std::nullopt;
}

// What serve() finds at these places; the children come after.
enum Polled : std::size_t { kSignals, kControl, kLink, kTasks, kChildren };

void Zygote::wait() {
  auto link_events = static_cast<short>(link_.has_unsent() ? POLLIN | POLLOUT : POLLIN);
  std::vector<pollfd> polled = {{signals_.fd(), POLLIN, 0},
                                {link_.connected() ? -1 : link_.control(), POLLIN, 0},
                                {link_.connected() ? link_.fd() : -1, link_events, 0},
                                {tasks_.output(), POLLIN, 0}};
  children_.poll_for(polled);
  int timeout = timeout_until(std::min(tasks_.limit(), children_.next_deadline()));
  int count;
  {
    gateway::GilRelease release;  // an app that insists on preload may have threads here
    count = ::poll(polled.data(), polled.size(), timeout);
  }
  children_.on_time();
  if (tasks_.running()) tasks_.on_time();
  if (count > 0) serve(polled);
  if (become_) return;
  children_.announce_ready();
  go_on_with_tasks();
}

void Zygote::serve(std::span<const pollfd> polled) {
  children_.read(polled.subspan(kChildren));
  if (polled[kTasks].revents != 0) tasks_.read_output();
  if (polled[kSignals].revents != 0) reap();
  if ((polled[kLink].revents & POLLOUT) != 0) link_.flush();
  if ((polled[kLink].revents & ~POLLOUT) != 0) read_link();
  if (!become_ && polled[kControl].revents != 0 && link_.accept()) greet();
}

// Tells a new appd all there is.
void Zygote::greet() {
  met_appd_ = true;
  message::Hello hello;
  hello.pid = ::getpid();
  hello.app = rollout_.load.app;
  hello.rollout = rollout_.load.rollout;
  hello.python_version = python_version();
  hello.settings = rollout_.settings();
  hello.stage = stage_;
  if (has_loaded_) hello.workers = static_cast<std::uint32_t>(children_.size());
  link_.send(hello, rollout_.descriptors());
  if (!has_loaded_) {
    if (auto task = tasks_.present()) link_.send(*std::move(task));
    return;
  }
  link_.send(rollout_.loaded);
  children_.tell_all();
  link_.send_kept();
}

void Zygote::read_link() {
  while (link_.connected() && !become_) {
    auto received = link_.receive();
    if (!received) return;
    take(std::move(*received));
  }
}

void Zygote::take(message::Received received) {
  std::visit(Overloaded{
                 [&](message::Load& load) {
                   this->load(std::move(load), std::move(received.descriptors));
                 },
                 [&](const message::Fork& fork) { spawn(fork.worker); },
                 [&](const message::Drain& wanted) {
                   Child* child = children_.find(wanted.worker);
                   if (child != nullptr) child->drain(rollout_.settings(), net::steady_now());
                 },
                 [&](const message::Kill& wanted) {
                   Child* child = children_.find(wanted.worker);
                   if (child == nullptr) return;
                   child->cause = message::ExitCause::Asked;
                   child->signal(SIGKILL);  // ours and not reaped: the pid is still its own
                 },
                 [&](const message::TakeStacks& wanted) {
                   Child* child = children_.find(wanted.worker);
                   if (child == nullptr || child->command) return;
                   child->stacks_for_appd = true;
                   child->take_stacks(net::steady_now());
                 },
                 [&](const message::CancelRequest& wanted) {
                   const Child* child = children_.find(wanted.worker);
                   if (child != nullptr && !child->command) (void)child->channel.send(wanted);
                 },
                 [&](const message::Tune& wanted) { tune(wanted); },
                 [&](const message::Stage& stage) { stage_ = stage; },
                 [&](const message::Quit&) { quit(); },
                 [&](const message::Reopen&) { reopen(std::move(received.descriptors)); },
                 [](const auto&) { net::LogLine("error", "appd_message_unexpected"); },
             },
             received.message);
}

void Zygote::load(message::Load load, std::vector<UniqueFd> descriptors) {
  if (has_loaded_ || tasks_.running()) {
    net::LogLine("error", "appd_message_unexpected").add("message", "Load");
    return;
  }
  if (!rollout_.take(std::move(load), std::move(descriptors))) {
    link_.send(message::LoadFailed{false, "appd sent no usable scoreboard or sockets", ""});
    return;
  }
  LoadingEnd end = load_code(rollout_, app_, hooks_, {link_.control(), link_.fd(), signals_.fd()});
  std::visit(Overloaded{
                 [&](message::Loaded& loaded) { prepared(std::move(loaded)); },
                 [&](message::LoadFailed& failed) { link_.send(std::move(failed)); },
                 [&](const Unforkable& unforkable) {
                   begin_again(rollout_, link_, hooks_, unforkable.why);
                   std::string problem = "cannot start over without preload; " + unforkable.why;
                   link_.send(message::LoadFailed{false, std::move(problem), ""});
                 },
             },
             end);
}

void Zygote::resume(UniqueFd from) {
  std::string why = zygote::resume(std::move(from), rollout_, link_);
  prepared(message::Loaded{false, std::move(why), 0, "", false});
}

// The code is there. What is to be run once comes next, and then Loaded.
void Zygote::prepared(message::Loaded loaded) {
  rollout_.loaded = std::move(loaded);
  // From here on there is something to drain. Before, a signal simply ends us.
  signals_.heed_quit();
  if (rollout_.load.run_once.empty()) {
    report_loaded();
  } else {
    tasks_.begin(rollout_.load);
  }
}

void Zygote::go_on_with_tasks() {
  if (auto news = tasks_.news()) link_.send(*std::move(news));
  if (tasks_.succeeded() && !has_loaded_ && !quitting_) report_loaded();
}

void Zygote::report_loaded() {
  has_loaded_ = true;
  rollout_.loaded.ran_once = tasks_.succeeded();
  link_.send(rollout_.loaded);
}

void Zygote::spawn(std::uint32_t worker) {
  bool taken = children_.find(worker) != nullptr;
  if (!has_loaded_ || quitting_ || taken || worker >= kMaxSlots) {
    link_.send(message::ForkFailed{worker, EINVAL});
    return;
  }
  become_ = spawner_.spawn(worker, app_);
}

void Zygote::tune(const message::Tune& tune) {
  rollout_.load.settings = tune.settings;
  net::set_log_prefix(tune.settings.log_prefix);
  children_.tune(tune);
}

void Zygote::quit() {
  failpoint("zygote.quitting");
  quitting_ = true;
  tasks_.cancel(std::chrono::milliseconds(rollout_.settings().graceful_timeout_ms));
  children_.drain_all();
}

// Ours first, then each worker's.
void Zygote::reopen(std::vector<UniqueFd> files) {
  files.resize(2);
  net::replace_log_files(files[0].release(), files[1].release());
  children_.hand_out_log_files();
}

void Zygote::reopen_by_name() {
  std::vector<UniqueFd> files;
  files.push_back(open_to_append(rollout_.load.log_path));
  files.push_back(open_to_append(rollout_.load.access_log_path));
  reopen(std::move(files));
}

void Zygote::reap() {
  signals_.silence();
  for (;;) {
    siginfo_t info{};
    constexpr int kKinds = WEXITED | WSTOPPED | WCONTINUED;
    if (::waitid(P_ALL, 0, &info, kKinds | WNOHANG | WNOWAIT) < 0 || info.si_pid == 0) return;
    pid_t pid = info.si_pid;
    if (info.si_code == CLD_STOPPED || info.si_code == CLD_CONTINUED) {
      siginfo_t change{};
      constexpr int kChanges = WSTOPPED | WCONTINUED | WNOHANG;
      if (::waitid(P_PID, static_cast<id_t>(pid), &change, kChanges) < 0) continue;
      if (change.si_pid != 0) children_.note_job_control(pid, change.si_code == CLD_STOPPED);
      continue;
    }
    bool task = tasks_.running() && tasks_.pid() == pid;
    // What a command leaves behind in its group goes with it. As long as it is not reaped, the
    // number is no one else's.
    if (task || children_.is_command(pid)) ::kill(-pid, SIGKILL);
    int status = 0;
    ::waitpid(pid, &status, 0);
    if (task) tasks_.ended(status);
    children_.bury(pid, status);  // or it is an orphan that came to us
  }
}

// Processes that the app started and left behind go with it, however they tried to get away.
void Zygote::end_strays() {
  for (int signal : {SIGTERM, SIGKILL}) {
    net::TimePoint limit = net::steady_now() + kStrayGrace;
    for (;;) {
      std::vector<pid_t> strays = children_of_ours();
      if (strays.empty()) return;
      int left = timeout_until(limit);
      if (left == 0) break;
      for (pid_t stray : strays) ::kill(stray, signal);
      pollfd child_ended{signals_.fd(), POLLIN, 0};
      ::poll(&child_ended, 1, left);
      reap();
    }
  }
}

}  // namespace

std::optional<WorkerSetup> run_zygote(const gateway::Hooks& hooks, UniqueFd control,
                                      UniqueFd resume) {
  auto signals = Signals::create();
  if (!signals) {
    net::LogLine("error", "zygote_failed").add("error", signals.error().message);
    return std::nullopt;
  }
  ::fcntl(control.get(), F_SETFD, FD_CLOEXEC);
  ::fcntl(control.get(), F_SETFL, O_NONBLOCK);
  // What workers leave behind when they die becomes ours to reap.
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  StacksFile::ignore_requests();
  Zygote zygote(hooks, std::move(control), std::move(signals).value());
  if (resume.valid()) zygote.resume(std::move(resume));
  return zygote.run();
}

}  // namespace appd::zygote
