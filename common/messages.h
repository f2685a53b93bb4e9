// The messages between appd, the zygotes and their workers, and how they become bytes.
//
// Each message is one datagram of a SOCK_SEQPACKET unix socket, at most kMaxMessage bytes: a tag
// byte, then the fields in order (integers little endian, strings and lists with a 32-bit length).
// Descriptors travel beside it (SCM_RIGHTS). Decoding checks every length: a peer that sends
// garbage gets an Error, never a crash.
//
//   appd    ── Load, Stage, Fork, Drain, Kill, TakeStacks, CancelRequest, Tune, Reopen, Quit ──▶
//              zygote
//   zygote  ── Hello, Loaded, LoadFailed, Forked, ForkFailed, Ready, BootFailed, Tuned, Stacks,
//              RunningOnce, RunOnceFailed, Exited ──▶ appd
//   zygote  ── Drain, CancelRequest, Tune, Reopen ──▶ worker
//   worker  ── Ready, BootFailed, Tuned, Stuck ──▶ zygote
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "common/result.h"
#include "common/unique_fd.h"

namespace appd::message {

inline constexpr std::size_t kMaxMessage = 128 * 1024;
inline constexpr std::size_t kMaxTraceback = 32 * 1024;
inline constexpr std::size_t kMaxDescriptors = 64;
inline constexpr std::uint32_t kProtocolVersion = 8;

enum class Preload : std::uint8_t { Auto, On, Off };

// gunicorn's defaults.
inline constexpr char kLoopback[] = "127.0.0.1,::1";
inline constexpr char kAccessLogFormat[] =
    R"(%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s")";

// What can be changed inside a running worker. Milliseconds; 0 turns a limit off, but keepalive 0
// closes after each answer and websocket_drain 0 sends WebSockets away at once.
struct Settings {
  std::int64_t revision = 0;  // the generation of the spec that these come from
  std::uint32_t threads = 1;
  std::uint32_t timeout_ms = 30'000;
  std::uint32_t request_timeout_ms = 0;
  std::uint32_t graceful_timeout_ms = 30'000;
  std::uint32_t keepalive_ms = 75'000;
  std::uint32_t client_header_timeout_ms = 30'000;
  std::uint32_t client_body_timeout_ms = 30'000;
  std::uint32_t send_timeout_ms = 30'000;
  std::uint32_t limit_request_line = 4094;
  std::uint32_t limit_request_fields = 100;
  std::uint32_t limit_request_field_size = 8190;
  std::int64_t limit_request_body = std::int64_t{1} << 30;
  // Requests and WebSockets in hand at once; for gevent, eventlet, tornado and asgi.
  std::uint32_t worker_connections = 1000;
  // "*", or addresses and networks (CIDR) with commas between; empty trusts nobody. Clients on unix
  // sockets are trusted unless it is empty.
  std::string forwarded_allow_ips = kLoopback;
  std::string proxy_protocol = "off";  // "off", "v1", "v2", "auto"
  std::string proxy_allow_ips = kLoopback;
  bool access_log = false;
  std::string access_log_format = kAccessLogFormat;   // gunicorn's atoms, or "json"
  std::int64_t ws_max_size = std::int64_t{16} << 20;  // bytes of one message
  std::uint32_t ws_ping_interval_ms = 20'000;
  std::uint32_t ws_ping_timeout_ms = 20'000;
  bool ws_per_message_deflate = true;
  // How long WebSockets may stay when their worker is told to go, before close code 1012.
  std::uint32_t websocket_drain_ms = 5'000;
  // Of commands: how long one must stay up to be ready, and what tells it to go.
  std::uint32_t startsecs_ms = 1'000;
  std::uint32_t stop_signal = 15;  // SIGTERM
  // What a new worker is asked before it takes its first client; empty: nothing.
  std::string health_path;
  std::uint16_t health_status_first = 200;  // the answers that are taken for healthy
  std::uint16_t health_status_last = 200;
  std::uint32_t health_timeout_ms = 5'000;  // of each try
  std::uint32_t health_tries = 3;
  bool log_prefix = false;  // lines begin with time, rollout and worker

  bool operator==(const Settings&) const = default;
};

// appd → zygote. Load comes first, with descriptors: the scoreboard, then the listening sockets.
struct Load {
  std::string app;  // the app's id, for titles and logs
  std::int64_t rollout = 0;
  std::string directory;
  std::string app_uri;  // "module", "module:callable", "module:factory('prod', debug=True)"
  Preload preload = Preload::Auto;
  std::vector<std::string> warmup_paths;
  // "auto", "sync", "gthread", "gevent", "eventlet", "tornado", "asgi"
  std::string worker_class = "auto";
  std::string loop = "auto";      // of asgi: "auto", "asyncio", "uvloop"
  std::string lifespan = "auto";  // of asgi: "auto", "on", "off"
  std::string root_path;          // SCRIPT_NAME; empty or "/prefix"
  std::string command;            // a program in place of an app (words.h); app_uri is empty then
  std::vector<std::string> run_once;            // programs to run, one after another, before Loaded
  std::uint32_t run_once_timeout_ms = 300'000;  // of each
  // The app's log (its descriptors 1 and 2) and its access log, for when no appd hands out new
  // ones.
  std::string log_path;
  std::string access_log_path;
  Settings settings;
};
struct Fork {
  std::uint32_t worker = 0;  // its id and its slot on the scoreboard
};
struct Drain {  // also zygote → worker: accept no more, finish, exit
  std::uint32_t worker = 0;
};
struct Kill {
  std::uint32_t worker = 0;
};
struct TakeStacks {  // answered by Stacks
  std::uint32_t worker = 0;
};
struct CancelRequest {  // also zygote → worker; of a loop's requests in hand
  std::uint32_t worker = 0;
  std::uint32_t number = 0;  // as on the scoreboard
};
struct Tune {  // also zygote → worker
  Settings settings;
};
struct Quit {};  // drain all workers, then exit

// How far a rollout has come. The zygote keeps what it was told last for the appd that comes next.
enum class StagePhase : std::uint8_t {
  Unproven,   // its first worker, or its canary, is to prove it
  Switching,  // it has proved itself, and takes the pool over
  Serving,
};
// What workers have answered within a window of time (core::Figures).
struct Tally {
  std::uint64_t requests = 0;
  std::uint64_t errors = 0;
  std::array<std::uint64_t, 32> latency = {};

  bool operator==(const Tally&) const = default;
};
struct Stage {
  StagePhase phase = StagePhase::Unproven;
  std::uint32_t surge = 0;     // while it switches: workers beyond the wanted number
  bool baking = false;         // its canary is compared with the old rollout
  std::uint64_t baked_ms = 0;  // for so long, and this is what was seen meanwhile
  Tally canary;
  Tally old;

  bool operator==(const Stage&) const = default;
};
// Also zygote → worker. The log files are others from now on; appd sends their descriptors, the
// app's log and, if there is one, the access log; workers find theirs on a socket of its own
// (log_files.h).
struct Reopen {};

// zygote → appd. Hello answers every new connection; when a zygote meets a later appd it carries
// the descriptors of Load back, and is followed by Loaded, Forked and Ready for all that is there.
struct Hello {
  std::uint32_t protocol = kProtocolVersion;
  std::int32_t pid = 0;
  std::string app;  // empty until Load came
  std::int64_t rollout = 0;
  std::string python_version;  // "3.11.2"
  std::uint32_t workers = 0;   // of how many Forked tells next
  Settings settings;           // that its workers were told last
  Stage stage;
};
struct Loaded {
  bool preloaded = false;
  std::string note;  // why not, although asked
  std::uint32_t took_ms = 0;
  std::string worker_class;  // the class that serves, never "auto"; empty: not known
  bool ran_once = false;     // every task of run_once was run and succeeded
};
// A task of run_once has begun. Loaded or RunOnceFailed follows.
struct RunningOnce {
  std::uint32_t number = 0;  // from 1
  std::uint32_t count = 0;
  std::string command;
};
struct RunOnceFailed {
  std::string summary;  // run_once "manage.py migrate" exited with status 1
  std::string output;   // its last lines
};
struct LoadFailed {
  bool not_found = false;  // the module was imported but has no such callable
  std::string summary;     // "ModuleNotFoundError: No module named 'wsgi'"
  std::string traceback;
};
struct Forked {
  std::uint32_t worker = 0;
  std::int32_t pid = 0;
  bool draining = false;     // it has been told to go, by an earlier appd
  std::uint64_t age_ms = 0;  // so long ago
};
struct ForkFailed {
  std::uint32_t worker = 0;
  std::int32_t sys_errno = 0;
};
struct Ready {  // also worker → zygote: accepts from now on
  std::uint32_t worker = 0;
  std::int64_t settings_revision = 0;
  std::string worker_class;  // as in Loaded, which cannot know it without preload
  std::uint64_t age_ms = 0;  // so long ago
};
enum class BootFailure : std::uint8_t {
  Import,     // in the worker: it is not preloaded
  NotFound,   // the module was imported but has no such callable, or there is no such command
  Unhealthy,  // the app answers, but not as health_path asks for
  Ended,      // of a command: too early to be ready
};
// Also worker → zygote: it takes no client and ends. A command that could not be executed has never
// been a process.
struct BootFailed {
  std::uint32_t worker = 0;
  BootFailure cause = BootFailure::Import;
  std::string summary;
  std::string traceback;  // or what the app has answered, or a command's last lines of output
};
struct Tuned {  // also worker → zygote: the settings are in effect
  std::uint32_t worker = 0;
  std::int64_t settings_revision = 0;
};
struct Stacks {
  std::uint32_t worker = 0;
  std::string text;  // of threads, tasks and greenlets; or why there are none
};
struct Stuck {  // worker → zygote only: something is over a limit that costs my life
  std::uint32_t worker = 0;
  bool request = false;  // request_timeout, not timeout
  std::uint32_t after_ms = 0;
  std::string what;  // "GET /slow"
};
enum class ExitCause : std::uint8_t {
  Asked,            // to drain, or to be killed
  Own,              // nobody asked for it
  Timeout,          // killed: it was stuck
  RequestTimeout,   // killed: a request was too old, and could not be ended otherwise
  Stopped,          // killed: it had been stopped (SIGSTOP) for as long
  Silent,           // killed: it was stuck, and could not say so
  GracefulTimeout,  // killed: told to go, it did not in time
  OutOfMemory,      // killed by the kernel for that
};
// Times are milliseconds since 1970, UTC, and for display.
struct Exited {
  std::uint32_t worker = 0;
  std::int32_t pid = 0;
  std::int32_t wait_status = 0;  // as from waitpid(2)
  ExitCause cause = ExitCause::Own;
  std::string detail;  // the request that ran too long, …
  std::int64_t start_time = 0;
  std::int64_t ready_time = 0;  // 0: it never was
  std::int64_t end_time = 0;
  std::string stacks = {};  // taken before it was killed
};

using Message = std::variant<Load, Fork, Drain, Kill, Tune, Quit, Hello, Loaded, LoadFailed, Forked,
                             ForkFailed, Ready, BootFailed, Tuned, Stuck, Exited, RunningOnce,
                             RunOnceFailed, Reopen, TakeStacks, Stacks, Stage, CancelRequest>;

std::string encode(const Message& message);
Result<Message> decode(std::span<const std::byte> bytes);

// A message and the descriptors that came with it.
struct Received {
  Message message;
  std::vector<UniqueFd> descriptors;
};

// One end of a SEQPACKET link. Owns its socket; one thread at a time. Nonblocking:
// receive() answers EAGAIN as an Error with sys_errno EAGAIN, the end of the peer with ECONNRESET.
class Channel {
 public:
  Channel() = default;
  explicit Channel(UniqueFd socket) : socket_(std::move(socket)) {}

  Result<void> send(const Message& message, std::span<const int> descriptors = {}) const;
  Result<Received> receive() const;
  int fd() const { return socket_.get(); }
  bool open() const { return socket_.valid(); }
  void close() { socket_.reset(); }
  UniqueFd release() { return std::move(socket_); }

 private:
  UniqueFd socket_;
};

// Two connected nonblocking close-on-exec ends.
Result<std::pair<Channel, Channel>> channel_pair();

}  // namespace appd::message
