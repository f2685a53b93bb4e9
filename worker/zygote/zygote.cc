// The zygote's loop: appd's wishes in, forks and reports out.
#include "worker/zygote/zygote.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <fstream>
#include <iterator>
#include <map>

#include "common/failpoint.h"
#include "common/words.h"
#include "worker/net/clock.h"
#include "worker/net/log_files.h"
#include "worker/net/log_line.h"
#include "worker/net/log_output.h"
#include "worker/net/oom_record.h"
#include "worker/zygote/appd_link.h"
#include "worker/zygote/child.h"
#include "worker/zygote/command.h"
#include "worker/zygote/run_once.h"

namespace appd::zygote {
namespace {

// How long after its own deadline a draining worker is killed.
constexpr std::chrono::seconds kKillGrace{2};

// After which a worker that has not taken its new log files is signalled to: it is inside the app.
constexpr std::chrono::milliseconds kTakeLogFiles{50};

// How long what workers leave behind may take to end after SIGTERM, and then after SIGKILL.
constexpr std::chrono::seconds kStrayGrace{1};

// What a pool of commands calls its class.
constexpr char kCommandClass[] = "command";

// For the signal handlers, which may only touch these.
int signal_event = -1;
volatile sig_atomic_t quit_signalled = 0;
volatile sig_atomic_t reopen_signalled = 0;

void ring() {
  std::uint64_t one = 1;
  if (::write(signal_event, &one, sizeof(one)) < 0) return;  // full: rings already
}
void on_child(int) {
  int saved = errno;
  ring();
  errno = saved;
}
void on_quit(int) {
  int saved = errno;
  quit_signalled = 1;
  ring();
  errno = saved;
}

void on_reopen(int) {
  int saved = errno;
  reopen_signalled = 1;
  ring();
  errno = saved;
}

void handle(int signal, void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  ::sigaction(signal, &action, nullptr);
}

// The kernel keeps 15 bytes: "appd:name" and, of a worker, ":17".
void set_process_name(const std::string& app, const std::string& suffix) {
  std::string name = "appd:" + app.substr(0, 10 - std::min<std::size_t>(suffix.size(), 9));
  ::prctl(PR_SET_NAME, (name + suffix).c_str());
}

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

class Zygote {
 public:
  Zygote(const gateway::Hooks& hooks, UniqueFd control)
      : hooks_(hooks), link_(std::move(control)), tasks_(launcher_) {}
  ~Zygote() {
    // What is said after this has no scoreboard. In a worker it stays (become_worker).
    if (scoreboard_.valid()) net::set_log_loss(nullptr);
  }
  Zygote(const Zygote&) = delete;
  Zygote& operator=(const Zygote&) = delete;

  Result<void> prepare();
  void resume(UniqueFd from);
  // Returns in a worker with its setup, in the zygote when all is over.
  std::optional<WorkerSetup> run();

 private:
  void wait();
  net::TimePoint next_deadline() const;
  void greet();
  void read_link();
  void take(message::Received received);
  void load(message::Load load, std::vector<UniqueFd> descriptors);
  bool adopt_descriptors(std::vector<UniqueFd> descriptors);
  void import_app();
  std::string fork_hazard(const char* culprit) const;
  void begin_again(const std::string& why);
  void prepare_command();
  void prepared(bool preloaded, std::string note, std::uint32_t took_ms);
  void go_on_with_tasks();
  void report_loaded();
  void take_name();
  std::string log_writer(std::uint32_t worker) const;
  void fork_worker(std::uint32_t worker);
  void become_worker(std::uint32_t worker, message::Channel channel, UniqueFd log_files,
                     net::AccessBatch* batch);
  void reopen(std::vector<UniqueFd> files);
  void reopen_by_name();
  void hurry_log_files();
  void start_command(std::uint32_t worker);
  void tune(const message::Tune& tune);
  void read_child(Child& child);
  void read_outputs_left();
  void reap();
  void ended(Child& child, int status);
  void announce_ready();
  void drain(Child& child);
  void drain_all();
  void kill_late();
  void look_after_children();
  void tend_stacks();
  void condemn(Child& child, message::ExitCause cause, std::string detail);
  std::chrono::milliseconds stuck_limit() const;
  void note_job_control(pid_t pid);
  void end_strays();
  Child* find(std::uint32_t worker);

  const gateway::Hooks& hooks_;
  AppdLink link_;
  UniqueFd signals_;
  Scoreboard scoreboard_;
  std::vector<UniqueFd> listeners_;
  engine::Handover handover_;  // of all workers
  message::Load load_;
  message::Stage stage_;           // as appd has told us
  std::vector<std::string> argv_;  // of a pool of commands
  message::Loaded loaded_;
  bool has_loaded_ = false;  // Loaded was sent; workers can be forked
  bool met_appd_ = false;
  bool frozen_ = false;
  bool quitting_ = false;
  net::TimePoint hurry_at_ = net::kNever;
  gateway::PyRef app_;
  std::map<pid_t, Child> children_;
  std::vector<net::LogPipe> outputs_left_;  // of what ended commands have left behind
  Launcher launcher_;
  RunOnce tasks_;
  net::OomRecord oom_;
  net::TimePoint next_round_ = net::kNever;  // when the slots are looked at
  std::optional<WorkerSetup> become_;        // in a fork: what it is to be
};

Result<void> Zygote::prepare() {
  signals_ = UniqueFd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!signals_) return sys_error("ZYGOTE_CREATE", "create eventfd", errno);
  signal_event = signals_.get();
  ::fcntl(link_.control(), F_SETFD, FD_CLOEXEC);
  ::fcntl(link_.control(), F_SETFL, O_NONBLOCK);
  // What workers leave behind when they die becomes ours to reap.
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  handle(SIGCHLD, on_child);
  handle(SIGUSR1, on_reopen);
  StacksFile::ignore_requests();
  return {};
}

std::optional<WorkerSetup> Zygote::run() {
  for (;;) {
    bool idle = children_.empty() && !tasks_.running();
    if (quitting_ && idle) break;
    bool nobodys = met_appd_ && !link_.connected();
    if (nobodys && idle && !has_loaded_ && !tasks_.present()) break;
    wait();
    if (quit_signalled != 0 && !quitting_) drain_all();
    if (std::exchange(reopen_signalled, 0) != 0) reopen_by_name();
    if (become_) return std::move(become_);
  }
  end_strays();
  read_outputs_left();
  link_.flush();
  return std::nullopt;
}

// Processes that the app started and left behind go with it, however they tried to get away.
void Zygote::end_strays() {
  for (int signal : {SIGTERM, SIGKILL}) {
    net::TimePoint limit = net::steady_now() + kStrayGrace;
    for (;;) {
      std::vector<pid_t> strays = children_of_ours();
      if (strays.empty()) return;
      auto left = std::chrono::ceil<std::chrono::milliseconds>(limit - net::steady_now());
      if (left.count() <= 0) break;
      for (pid_t stray : strays) ::kill(stray, signal);
      pollfd child_ended{signals_.get(), POLLIN, 0};
      ::poll(&child_ended, 1, static_cast<int>(left.count()));
      reap();
    }
  }
}

void Zygote::wait() {
  std::vector<pollfd> polled;
  polled.push_back({signals_.get(), POLLIN, 0});
  polled.push_back({link_.connected() ? -1 : link_.control(), POLLIN, 0});
  auto link_events = static_cast<short>(link_.has_unsent() ? POLLIN | POLLOUT : POLLIN);
  polled.push_back({link_.connected() ? link_.fd() : -1, link_events, 0});
  polled.push_back({tasks_.output(), POLLIN, 0});
  std::vector<pid_t> pids;
  for (const auto& [pid, child] : children_) {
    polled.push_back({child.fd(), POLLIN, 0});
    pids.push_back(pid);
  }
  for (const net::LogPipe& output : outputs_left_) polled.push_back({output.fd(), POLLIN, 0});
  int timeout = -1;
  if (net::TimePoint deadline = next_deadline(); deadline != net::kNever) {
    auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - net::steady_now());
    timeout = static_cast<int>(std::max<std::int64_t>(left.count(), 0));
  }
  int count;
  {
    gateway::GilRelease release;  // an app that insists on preload may have threads here
    count = ::poll(polled.data(), polled.size(), timeout);
  }
  kill_late();
  if (hurry_at_ <= net::steady_now()) hurry_log_files();
  look_after_children();
  tend_stacks();
  if (tasks_.running()) tasks_.on_time();
  if (count > 0) {
    for (std::size_t i = 0; i < pids.size(); ++i) {
      if (polled[i + 4].revents != 0) read_child(children_.at(pids[i]));
    }
    read_outputs_left();
    if (polled[3].revents != 0) tasks_.read_output();
    if (polled[0].revents != 0) reap();
    if ((polled[2].revents & POLLOUT) != 0) link_.flush();
    if ((polled[2].revents & ~POLLOUT) != 0) read_link();
    if (become_) return;
    if (polled[1].revents != 0 && link_.accept()) greet();
  }
  announce_ready();
  go_on_with_tasks();
}

net::TimePoint Zygote::next_deadline() const {
  net::TimePoint now = net::steady_now();
  net::TimePoint next = std::min(tasks_.limit(), hurry_at_);
  if (!children_.empty()) next = std::min(next, next_round_);
  for (const auto& [pid, child] : children_) next = std::min(next, child.next_look(now));
  return next;
}

// Tells a new appd all there is.
void Zygote::greet() {
  met_appd_ = true;
  message::Hello hello;
  hello.pid = ::getpid();
  hello.app = load_.app;
  hello.rollout = load_.rollout;
  hello.python_version = python_version();
  hello.settings = load_.settings;
  hello.stage = stage_;
  if (has_loaded_) hello.workers = static_cast<std::uint32_t>(children_.size());
  std::vector<int> descriptors;
  if (scoreboard_.valid()) {
    descriptors.push_back(scoreboard_.fd());
    for (const UniqueFd& listener : listeners_) descriptors.push_back(listener.get());
  }
  link_.send(hello, descriptors);
  if (!has_loaded_) {
    if (auto task = tasks_.present()) link_.send(*std::move(task));
    return;
  }
  link_.send(loaded_);
  net::TimePoint now = net::steady_now();
  for (const auto& [pid, child] : children_) {
    link_.send(child.forked_message(now));
    if (child.ready == net::kNever) continue;
    link_.send(child.ready_message(now, loaded_.worker_class));
  }
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
                 [&](const message::Fork& fork) { fork_worker(fork.worker); },
                 [&](const message::Drain& wanted) {
                   if (Child* child = find(wanted.worker)) drain(*child);
                 },
                 [&](const message::Kill& wanted) {
                   Child* child = find(wanted.worker);
                   if (child == nullptr) return;
                   child->cause = message::ExitCause::Asked;
                   child->signal(SIGKILL);  // ours and not reaped: the pid is still its own
                 },
                 [&](const message::TakeStacks& wanted) {
                   Child* child = find(wanted.worker);
                   if (child == nullptr || child->command) return;
                   child->stacks_for_appd = true;
                   child->take_stacks(net::steady_now());
                 },
                 [&](const message::CancelRequest& wanted) {
                   const Child* child = find(wanted.worker);
                   if (child != nullptr && !child->command) (void)child->channel.send(wanted);
                 },
                 [&](const message::Tune& wanted) { tune(wanted); },
                 [&](const message::Stage& stage) { stage_ = stage; },
                 [&](const message::Quit&) { drain_all(); },
                 [&](const message::Reopen&) { reopen(std::move(received.descriptors)); },
                 [](const auto&) { net::LogLine("error", "appd_message_unexpected"); },
             },
             received.message);
}

bool Zygote::adopt_descriptors(std::vector<UniqueFd> descriptors) {
  if (descriptors.empty()) return false;
  auto scoreboard = Scoreboard::open(std::move(descriptors[0]));
  if (!scoreboard) return false;
  scoreboard_ = std::move(scoreboard).value();
  auto handover = engine::Handover::create(scoreboard_.header());
  if (!handover) return false;
  handover_ = std::move(handover).value();
  net::set_log_loss(&scoreboard_.log_loss());
  listeners_.assign(std::make_move_iterator(descriptors.begin() + 1),
                    std::make_move_iterator(descriptors.end()));
  return std::all_of(listeners_.begin(), listeners_.end(), [](const UniqueFd& listener) {
    return static_cast<bool>(prepare_listener(listener.get()));
  });
}

void Zygote::take_name() {
  set_process_name(load_.app, "");
  net::set_log_writer(std::to_string(load_.rollout) + "/-");
  net::set_log_prefix(load_.settings.log_prefix);
}

std::string Zygote::log_writer(std::uint32_t worker) const {
  return std::to_string(load_.rollout) + "/" + std::to_string(worker);
}

void Zygote::load(message::Load load, std::vector<UniqueFd> descriptors) {
  if (has_loaded_ || tasks_.running()) {
    net::LogLine("error", "appd_message_unexpected").add("message", "Load");
    return;
  }
  load_ = std::move(load);
  take_name();
  if (!adopt_descriptors(std::move(descriptors))) {
    link_.send(message::LoadFailed{false, "appd sent no usable scoreboard or sockets", ""});
    return;
  }
  if (!load_.command.empty()) {
    prepare_command();
  } else if (load_.preload == message::Preload::Off) {
    prepared(false, "", 0);
  } else {
    import_app();
  }
}

void Zygote::prepare_command() {
  auto argv = split_words(load_.command);
  if (!argv) {  // appd has checked it
    link_.send(message::LoadFailed{true, "the command " + argv.error().message, ""});
    return;
  }
  argv_ = std::move(argv).value();
  load_.worker_class = kCommandClass;
  prepared(false, "", 0);
}

void Zygote::import_app() {
  net::TimePoint begin = net::steady_now();
  gateway::LoadedApp loaded = hooks_.load(load_);
  failpoint("zygote.loaded");
  if (!loaded.app) {
    link_.send(message::LoadFailed{loaded.not_found, std::move(loaded.summary),
                                   std::move(loaded.traceback)});
    return;
  }
  app_ = std::move(loaded.app);
  load_.worker_class = loaded.worker_class;
  std::string hazard = fork_hazard("the import");
  if (hazard.empty() && !load_.warmup_paths.empty()) {
    hazard = hooks_.warm_up(app_.get(), load_);
    if (hazard.empty()) hazard = fork_hazard("the warm-up requests");
  }
  if (!hazard.empty()) {
    if (load_.preload == message::Preload::Auto) return begin_again(hazard);
    net::LogLine("warn", "fork_hazard").add("app", load_.app).add("hazard", hazard);
  }
  auto took = std::chrono::duration_cast<std::chrono::milliseconds>(net::steady_now() - begin);
  prepared(true, "", static_cast<std::uint32_t>(took.count()));
}

// Empty: nothing is known against forks.
std::string Zygote::fork_hazard(const char* culprit) const {
  if (load_.preload != message::Preload::Auto) return {};
  std::vector<int> own = {link_.control(), link_.fd(), signals_.get(), scoreboard_.fd()};
  for (const UniqueFd& listener : listeners_) own.push_back(listener.get());
  for (int fd : handover_.descriptors()) own.push_back(fd);
  return hooks_.fork_hazard(own, culprit);
}

// The code is there. What is to be run once comes next, and then Loaded.
void Zygote::prepared(bool preloaded, std::string note, std::uint32_t took_ms) {
  bool class_is_known = preloaded || !argv_.empty();
  loaded_ = {preloaded, std::move(note), took_ms, class_is_known ? load_.worker_class : "", false};
  // From here on there is something to drain. Before, a signal simply ends us.
  handle(SIGCHLD, on_child);  // the import may have replaced it
  handle(SIGTERM, on_quit);
  handle(SIGINT, on_quit);
  if (load_.run_once.empty()) {
    report_loaded();
  } else {
    tasks_.begin(load_);
  }
}

void Zygote::go_on_with_tasks() {
  if (auto news = tasks_.news()) link_.send(*std::move(news));
  if (tasks_.succeeded() && !has_loaded_ && !quitting_) report_loaded();
}

void Zygote::report_loaded() {
  has_loaded_ = true;
  loaded_.ran_once = tasks_.succeeded();
  link_.send(loaded_);
}

// The app cannot be forked. The same process starts over without it, so that appd sees no change
// of pid; what we have goes through a socket to ourselves.
void Zygote::begin_again(const std::string& why) {
  auto pair = message::channel_pair();
  message::Load load = load_;
  load.preload = message::Preload::Off;
  std::vector<int> descriptors = {link_.fd(), scoreboard_.fd()};
  for (const UniqueFd& listener : listeners_) descriptors.push_back(listener.get());
  if (pair && pair->first.send(load, descriptors) &&
      pair->first.send(message::Loaded{false, why, 0, "", false})) {
    if (int access = net::access_log_descriptor(); access >= 0) {
      (void)pair->first.send(message::Reopen{}, {{access}});
    }
    ::signal(SIGUSR1, SIG_IGN);  // until the handler is there again
    ::fcntl(link_.control(), F_SETFD, 0);
    hooks_.exec_again(pair->second.fd());
  }
  link_.send(message::LoadFailed{false, "cannot start over without preload; " + why, ""});
}

void Zygote::resume(UniqueFd from) {
  message::Channel channel(std::move(from));
  auto load = channel.receive();
  auto loaded = channel.receive();
  APPD_CHECK(load && loaded && load->descriptors.size() >= 2);
  load_ = std::get<message::Load>(std::move(load->message));
  take_name();
  // Descriptors 1 and 2 are what they were; the number of the access log's has to be learnt anew.
  if (auto logs = channel.receive(); logs && logs->descriptors.size() == 1) {
    net::replace_log_files(-1, logs->descriptors[0].release());
  }
  link_.adopt(std::move(load->descriptors[0]));
  load->descriptors.erase(load->descriptors.begin());
  APPD_CHECK(adopt_descriptors(std::move(load->descriptors)));
  prepared(false, std::get<message::Loaded>(loaded->message).note, 0);
}

void Zygote::fork_worker(std::uint32_t worker) {
  if (!has_loaded_ || quitting_ || find(worker) != nullptr || worker >= kMaxSlots) {
    link_.send(message::ForkFailed{worker, EINVAL});
    return;
  }
  if (!argv_.empty()) return start_command(worker);
  auto pair = message::channel_pair();
  auto files = net::log_file_link();
  auto stacks = StacksFile::create();
  if (!pair || !files || !stacks) {
    const Error& error = !pair ? pair.error() : !files ? files.error() : stacks.error();
    link_.send(message::ForkFailed{worker, error.sys_errno});
    return;
  }
  scoreboard_.begin_worker(worker);  // the slot's last owner is gone, and was told of
  oom_.note();
  net::AccessBatch* batch = net::share_access_batch();
  if (app_ && !std::exchange(frozen_, true)) hooks_.freeze();
  PyOS_BeforeFork();
  pid_t pid = ::fork();
  int error = errno;
  if (pid == 0) {
    PyOS_AfterFork_Child();
    pair->first.close();
    files->first.reset();
    become_worker(worker, std::move(pair->second), std::move(files->second), batch);
    become_->stacks = std::move(stacks).value();
    return;
  }
  PyOS_AfterFork_Parent();
  if (pid < 0) {
    net::release_access_batch(batch);
    link_.send(message::ForkFailed{worker, error});
    return;
  }
  failpoint("zygote.forked");
  Child& child = children_[pid];
  child.worker = worker;
  child.pid = pid;
  child.channel = std::move(pair->first);
  child.stacks = std::move(stacks).value();
  child.forked = net::steady_now();
  child.log_files = std::move(files->first);
  child.batch = batch;
  next_round_ = std::min(next_round_, child.forked);
  child.settings_revision = load_.settings.revision;
  link_.send(child.forked_message(child.forked));
}

void Zygote::start_command(std::uint32_t worker) {
  scoreboard_.begin_worker(worker);
  oom_.note();
  auto output = net::LogPipe::create(log_writer(worker), true);
  if (!output) {
    link_.send(message::ForkFailed{worker, output.error().sys_errno});
    return;
  }
  auto pid = launcher_.start({argv_, load_.directory, output->writing_end(), false, worker});
  output->close_writing_end();
  if (!pid) {
    const Error& error = pid.error();
    bool not_found = error.sys_errno == ENOENT || error.sys_errno == EACCES;
    auto cause = not_found ? message::BootFailure::NotFound : message::BootFailure::Ended;
    link_.send(message::BootFailed{worker, cause, error.message, ""});
    return;
  }
  Child& child = children_[pid.value()];
  child.worker = worker;
  child.pid = pid.value();
  child.settings_revision = load_.settings.revision;
  child.command = true;
  child.output = std::move(output).value();
  child.forked = net::steady_now();
  child.ready_at = child.forked + std::chrono::milliseconds(load_.settings.startsecs_ms);
  link_.send(child.forked_message(child.forked));
}

// Commands are told nothing: what concerns them, we do.
void Zygote::tune(const message::Tune& tune) {
  load_.settings = tune.settings;
  net::set_log_prefix(tune.settings.log_prefix);
  next_round_ = net::steady_now();
  for (auto& [pid, child] : children_) {
    if (child.channel.open()) (void)child.channel.send(tune);
    if (!child.command) continue;
    child.settings_revision = tune.settings.revision;
    link_.send(message::Tuned{child.worker, child.settings_revision});
  }
}

// A command that has stayed up is ready.
void Zygote::announce_ready() {
  net::TimePoint now = net::steady_now();
  for (auto& [pid, child] : children_) {
    if (child.ready_at > now) continue;
    child.ready_at = net::kNever;
    child.ready = now;
    link_.send(child.ready_message(now, kCommandClass));
  }
}

// In the fork: leave behind what belongs to the zygote.
void Zygote::become_worker(std::uint32_t worker, message::Channel channel, UniqueFd log_files,
                           net::AccessBatch* batch) {
  net::set_log_writer(log_writer(worker));
  net::set_access_batch(batch);
  net::watch_log_file_link(log_files.get());
  for (int signal : {SIGCHLD, SIGTERM, SIGINT}) handle(signal, SIG_DFL);
  signal_event = -1;
  set_process_name(load_.app, ":" + std::to_string(worker));
  WorkerSetup& setup = become_.emplace();
  setup.worker = worker;
  setup.load = std::move(load_);
  setup.listeners = std::move(listeners_);
  setup.handover = std::move(handover_);
  setup.channel = std::move(channel);
  setup.log_files = std::move(log_files);
  // The mapping stays for as long as the process lives.
  static Scoreboard inherited;
  inherited = std::move(scoreboard_);
  setup.slot = &inherited.slot(worker);
  setup.app = std::move(app_);
}

void Zygote::read_child(Child& child) {
  if (child.output) child.output->read();
  while (child.channel.open()) {
    auto received = child.channel.receive();
    if (!received) {
      if (received.error().sys_errno != EAGAIN) child.channel.close();
      return;
    }
    message::Message& message = received->message;
    if (auto* stuck = std::get_if<message::Stuck>(&message)) {
      condemn(child,
              stuck->request ? message::ExitCause::RequestTimeout : message::ExitCause::Timeout,
              stuck->what + " after " + std::to_string(stuck->after_ms) + " ms");
    } else if (auto* ready = std::get_if<message::Ready>(&message)) {
      child.ready = net::steady_now();
      child.settings_revision = ready->settings_revision;
      ready->age_ms = 0;
      if (!ready->worker_class.empty()) loaded_.worker_class = ready->worker_class;
      link_.send(std::move(message));
    } else if (auto* tuned = std::get_if<message::Tuned>(&message)) {
      child.settings_revision = tuned->settings_revision;
      link_.send(std::move(message));
    } else if (std::holds_alternative<message::BootFailed>(message)) {
      link_.send(std::move(message));
    }  // a worker may say nothing else
  }
}

void Zygote::read_outputs_left() {
  for (net::LogPipe& output : outputs_left_) output.read();
  std::erase_if(outputs_left_, [](const net::LogPipe& output) { return output.fd() < 0; });
}

void Zygote::reap() {
  std::uint64_t rung = 0;
  if (::read(signals_.get(), &rung, sizeof(rung)) < 0 && errno != EAGAIN) return;
  for (;;) {
    siginfo_t info{};
    constexpr int kKinds = WEXITED | WSTOPPED | WCONTINUED;
    if (::waitid(P_ALL, 0, &info, kKinds | WNOHANG | WNOWAIT) < 0 || info.si_pid == 0) return;
    pid_t pid = info.si_pid;
    if (info.si_code == CLD_STOPPED || info.si_code == CLD_CONTINUED) {
      note_job_control(pid);
      continue;
    }
    auto found = children_.find(pid);
    bool worker = found != children_.end();
    bool task = tasks_.running() && tasks_.pid() == pid;
    // What a command leaves behind in its group goes with it. As long as it is not reaped, the
    // number is no one else's.
    if (task || (worker && found->second.command)) ::kill(-pid, SIGKILL);
    int status = 0;
    ::waitpid(pid, &status, 0);
    if (task) tasks_.ended(status);
    if (worker) ended(found->second, status);  // else an orphan that came to us
    if (worker) children_.erase(found);
  }
}

void Zygote::ended(Child& child, int status) {
  read_child(child);                                 // its last words
  if (child.batch != nullptr) child.batch->flush();  // and what a killed one could not write
  bool killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
  if (killed && child.cause == message::ExitCause::Own) {
    child.detail = oom_.verdict(child.pid);
    if (!child.detail.empty()) child.cause = message::ExitCause::OutOfMemory;
  }
  bool says_cut = WIFEXITED(status) && WEXITSTATUS(status) == kExitCut && !child.command;
  if (says_cut && child.cause == message::ExitCause::Asked) {
    child.cause = message::ExitCause::GracefulTimeout;
  }
  if (scoreboard_.valid()) {
    ScoreboardSlot& slot = scoreboard_.slot(child.worker);
    end_taking(slot, scoreboard_.takers());
    slot.pid.store(0);
  }
  net::TimePoint now = net::steady_now();
  if (child.command && child.ready == net::kNever && child.cause == message::ExitCause::Own) {
    std::string how =
        describe_early_end(argv_[0], status, now - child.forked, load_.settings.startsecs_ms);
    link_.send(message::BootFailed{child.worker, message::BootFailure::Ended, std::move(how),
                                   harmless(child.output->tail())});
  }
  link_.send(child.exited_message(now, status));
  if (child.output) outputs_left_.push_back(*std::move(child.output));
}

// Ours first, then each worker's: those that wait for events are told by a message.
void Zygote::reopen(std::vector<UniqueFd> files) {
  files.resize(2);
  net::replace_log_files(files[0].release(), files[1].release());
  for (auto& [pid, child] : children_) {
    if (child.command) continue;
    net::send_log_files(child.log_files.get(), 1, net::access_log_descriptor());
    if (child.channel.open()) (void)child.channel.send(message::Reopen{});
  }
  if (hurry_at_ == net::kNever) hurry_at_ = net::steady_now() + kTakeLogFiles;
}

void Zygote::reopen_by_name() {
  std::vector<UniqueFd> files;
  files.push_back(open_to_append(load_.log_path));
  files.push_back(open_to_append(load_.access_log_path));
  reopen(std::move(files));
}

// Those that are inside the app, or still import it, take their files in a signal handler.
void Zygote::hurry_log_files() {
  hurry_at_ = net::kNever;
  for (auto& [pid, child] : children_) {
    if (child.command) continue;  // SIGUSR1 would mean something else to it
    if (net::log_files_untaken(child.log_files.get())) ::kill(pid, SIGUSR1);
  }
}

void Zygote::drain(Child& child) {
  if (child.kill_at != net::kNever) return;
  if (child.cause == message::ExitCause::Own) child.cause = message::ExitCause::Asked;
  child.ready_at = net::kNever;
  auto limit = load_.settings.graceful_timeout_ms;
  if (limit != 0) {
    child.kill_at = net::steady_now() + std::chrono::milliseconds(limit);
    if (!child.command) child.kill_at += kKillGrace;  // it has a deadline of its own
  }
  // The message cannot be overlooked, the signal is heard even in the middle of a request.
  if (child.channel.open()) (void)child.channel.send(message::Drain{child.worker});
  child.signal(child.command ? static_cast<int>(load_.settings.stop_signal) : SIGTERM);
}

void Zygote::drain_all() {
  failpoint("zygote.quitting");
  quitting_ = true;
  tasks_.cancel(std::chrono::milliseconds(load_.settings.graceful_timeout_ms));
  for (auto& [pid, child] : children_) drain(child);
}

// The limit that a worker's serving thread or loop must not be over.
std::chrono::milliseconds Zygote::stuck_limit() const {
  std::uint32_t limit = load_.settings.timeout_ms;
  std::uint32_t request = load_.settings.request_timeout_ms;
  if (request != 0) limit = limit == 0 ? request : std::min(limit, request);
  return std::chrono::milliseconds(limit);
}

// Who is stopped takes no new clients, but holds those that it has.
void Zygote::note_job_control(pid_t pid) {
  siginfo_t info{};
  constexpr int kKinds = WSTOPPED | WCONTINUED;
  if (::waitid(P_PID, static_cast<id_t>(pid), &info, kKinds | WNOHANG) < 0) return;
  auto found = children_.find(pid);
  if (info.si_pid == 0 || found == children_.end() || found->second.command) return;
  bool stopped = info.si_code == CLD_STOPPED && stuck_limit().count() > 0;
  found->second.stopped_by = stopped ? net::steady_now() + stuck_limit() : net::kNever;
}

// What a worker's own monitor does not see: that the whole process stands still, or the monitor.
void Zygote::look_after_children() {
  net::TimePoint now = net::steady_now();
  for (auto& [pid, child] : children_) {
    if (child.stopped_by > now) continue;
    child.stopped_by = net::kNever;
    condemn(child, message::ExitCause::Stopped,
            "for " + std::to_string(stuck_limit().count()) + " ms");
  }
  if (now < next_round_) return;
  auto limit = stuck_limit();
  constexpr std::chrono::milliseconds kShortest{1'000};
  constexpr std::chrono::milliseconds kLongest{30'000};
  next_round_ = limit.count() == 0 ? net::kNever : now + std::clamp(limit / 2, kShortest, kLongest);
  for (auto& [pid, child] : children_) {
    const ScoreboardSlot& slot = scoreboard_.slot(child.worker);
    if (child.ready == net::kNever || !Child::silent(slot, limit, now)) continue;
    const RequestInHand* oldest = newest_in_hand(slot);
    condemn(child, message::ExitCause::Silent,
            oldest == nullptr ? "" : std::string(oldest->method) + " " + oldest->path);
  }
}

// Kills it as soon as it has said what it is at, or has not done so in time.
void Zygote::condemn(Child& child, message::ExitCause cause, std::string detail) {
  if (child.kill_after_stacks) return;
  child.cause = cause;
  child.detail = std::move(detail);
  child.kill_after_stacks = true;
  child.take_stacks(net::steady_now());
}

void Zygote::tend_stacks() {
  net::TimePoint now = net::steady_now();
  for (auto& [pid, child] : children_) {
    if (!child.stacks_taken(now)) continue;
    if (std::exchange(child.stacks_for_appd, false)) {
      link_.send(message::Stacks{child.worker, child.last_stacks});
    }
    if (child.kill_after_stacks) ::kill(pid, SIGKILL);
  }
}

void Zygote::kill_late() {
  net::TimePoint now = net::steady_now();
  for (auto& [pid, child] : children_) {
    if (child.kill_at > now) continue;
    child.kill_at = net::kNever;
    if (child.cause == message::ExitCause::Asked) {
      child.cause = message::ExitCause::GracefulTimeout;
    }
    child.signal(SIGKILL);
  }
}

Child* Zygote::find(std::uint32_t worker) {
  for (auto& [pid, child] : children_) {
    if (child.worker == worker) return &child;
  }
  return nullptr;
}

}  // namespace

Result<void> prepare_listener(int socket) {
  int flags = ::fcntl(socket, F_GETFL);
  if (flags < 0 || ::fcntl(socket, F_SETFL, flags | O_NONBLOCK) < 0) {
    return sys_error("LISTENER_PREPARE", "make a listening socket nonblocking", errno);
  }
  int on = 1;  // inherited by what it accepts; fails on unix sockets, where it is not needed
  ::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  return {};
}

std::optional<WorkerSetup> run_zygote(const gateway::Hooks& hooks, UniqueFd control,
                                      UniqueFd resume) {
  Zygote zygote(hooks, std::move(control));
  if (auto prepared = zygote.prepare(); !prepared) {
    net::LogLine("error", "zygote_failed").add("error", prepared.error().message);
    return std::nullopt;
  }
  if (resume.valid()) zygote.resume(std::move(resume));
  return zygote.run();
}

}  // namespace appd::zygote
