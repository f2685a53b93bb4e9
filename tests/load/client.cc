// The event loop of the load client. Level-triggered epoll, one thread, no allocation worth
// speaking of per request; a request is either answered correctly, or counted as failed with its
// kind.
#include "tests/load/client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>

namespace appd::load {
namespace {

using std::chrono::duration_cast;
using std::chrono::microseconds;
using std::chrono::milliseconds;

constexpr std::uint64_t kSignals = ~std::uint64_t{0};
constexpr std::uint64_t kStdin = kSignals - 1;
constexpr milliseconds kRetry{20};   // after a connection that could not be opened
constexpr milliseconds kSweep{100};  // how late a timeout may be noticed
constexpr std::size_t kReadSize = 256 * 1024;

struct Address {
  sockaddr_storage storage{};
  socklen_t size = 0;
};

Result<Address> resolve(const Options& options) {
  Address address;
  Error bad{ErrorCode::InvalidArgument, "ADDRESS", "not a numeric address: " + options.host, 0};
  if (!options.unix_path.empty()) {
    auto* local = reinterpret_cast<sockaddr_un*>(&address.storage);
    if (options.unix_path.size() >= sizeof(local->sun_path)) {
      bad.message = "path too long for a unix socket: " + options.unix_path;
      return bad;
    }
    local->sun_family = AF_UNIX;
    std::memcpy(local->sun_path, options.unix_path.c_str(), options.unix_path.size() + 1);
    address.size = sizeof(sockaddr_un);
    return address;
  }
  auto* v4 = reinterpret_cast<sockaddr_in*>(&address.storage);
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&address.storage);
  if (::inet_pton(AF_INET, options.host.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(options.port);
    address.size = sizeof(sockaddr_in);
  } else if (::inet_pton(AF_INET6, options.host.c_str(), &v6->sin6_addr) == 1) {
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(options.port);
    address.size = sizeof(sockaddr_in6);
  } else {
    return bad;
  }
  return address;
}

}  // namespace

Client::Client(Options options) : options_(std::move(options)), buffer_(kReadSize) {
  report_.most_examples = options_.examples;
}
Client::~Client() = default;

Result<void> Client::run() {
  TRY(set_up());
  start_ = last_answer_ = Clock::now();
  next_sweep_ = start_ + kSweep;
  if (options_.duration.count() > 0) end_ = start_ + options_.duration;
  for (std::size_t i = 0; i < connections_.size() && may_ask(); ++i) open(i);
  while (may_ask() || in_flight_ > 0) wait_and_handle();
  report_.duration = elapsed();
  return {};
}

Result<void> Client::set_up() {
  TRY(resolve(options_));
  epoll_ = UniqueFd(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll_) return sys_error("EPOLL", "create epoll", errno);
  sigset_t ending;
  sigemptyset(&ending);
  sigaddset(&ending, SIGTERM);
  sigaddset(&ending, SIGINT);
  ::sigprocmask(SIG_BLOCK, &ending, nullptr);
  signals_ = UniqueFd(::signalfd(-1, &ending, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals_) return sys_error("SIGNALFD", "create signalfd", errno);
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = kSignals;
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, signals_.get(), &event);
  if (options_.control) {
    event.data.u64 = kStdin;
    if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, STDIN_FILENO, &event) < 0) {
      return sys_error("STDIN", "--control wants a pipe as stdin", errno);
    }
  }
  connections_.resize(options_.connections);
  return {};
}

void Client::wait_and_handle() {
  auto until = std::min(next_sweep_, end_);
  if (!timers_.empty()) until = std::min(until, timers_.top().when);
  auto wait = std::max(std::chrono::ceil<milliseconds>(until - Clock::now()), milliseconds(0));
  std::array<epoll_event, 256> events;
  int count =
      ::epoll_wait(epoll_.get(), events.data(), events.size(), static_cast<int>(wait.count()));
  for (int i = 0; i < count; ++i) {
    std::uint64_t what = events[i].data.u64;
    if (what == kSignals) {
      stop();
    } else if (what == kStdin) {
      on_control();
    } else {
      on_socket(what, events[i].events);
    }
  }
  auto now = Clock::now();
  while (!timers_.empty() && timers_.top().when <= now) {
    Timer timer = timers_.top();
    timers_.pop();
    if (connections_[timer.connection].timer == timer.id) on_timer(timer.connection);
  }
  if (now >= next_sweep_) sweep_timeouts(now);
  if (now >= end_) stop();
}

void Client::on_control() {
  ssize_t size = ::read(STDIN_FILENO, buffer_.data(), buffer_.size());
  if (size <= 0) {
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, STDIN_FILENO, nullptr);
    return stop();
  }
  for (auto lines = std::count(buffer_.data(), buffer_.data() + size, '\n'); lines > 0; --lines)
    snapshot();
}

void Client::snapshot() {
  report_.duration = elapsed();
  std::puts(report_.json().c_str());
  std::fflush(stdout);
}

void Client::on_socket(std::size_t index, std::uint32_t events) {
  Connection& connection = connections_[index];
  if (!connection.socket) return;  // closed by an earlier event of this batch
  if (connection.connecting) return connected(index);
  if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) read(index);
  if (connection.socket && !connection.connecting && (events & EPOLLOUT) != 0) write(index);
}

void Client::on_timer(std::size_t index) {
  Connection& connection = connections_[index];
  Pause why = std::exchange(connection.pause, Pause::None);
  if (why == Pause::Chunk) {
    next_chunk(connection);
    write(index);
  } else if (may_ask()) {
    connection.socket ? fill(index) : open(index);
  }
}

void Client::sweep_timeouts(Clock::time_point now) {
  next_sweep_ = now + kSweep;
  for (std::size_t i = 0; i < connections_.size(); ++i) {
    const auto& outstanding = connections_[i].outstanding;
    if (!outstanding.empty() && now - outstanding.front().sent > options_.timeout) {
      lost(i, Failure::Timeout, "no answer in time");
    }
  }
}

void Client::open(std::size_t index) {
  Connection& connection = connections_[index];
  Address address = resolve(options_).value();  // checked by set_up
  UniqueFd socket(
      ::socket(address.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket) return lost(index, Failure::Connect, std::strerror(errno));
  int yes = 1;
  ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
  // A request belongs to the attempt, so that a refused connection is a failed request.
  connection.outstanding.push_back({next_number(), Clock::now()});
  ++in_flight_;
  int connected =
      ::connect(socket.get(), reinterpret_cast<sockaddr*>(&address.storage), address.size);
  int fault = connected < 0 ? errno : 0;
  connection.socket = std::move(socket);
  connection.parser.begin();
  connection.out.clear();
  if (fault != 0 && fault != EINPROGRESS) {
    return lost(index, fault == ECONNREFUSED ? Failure::Refused : Failure::Connect,
                std::strerror(fault));
  }
  connection.connecting = true;
  connection.wants_write = true;
  epoll_event event{};
  event.events = EPOLLIN | EPOLLOUT;
  event.data.u64 = index;
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, connection.socket.get(), &event);
}

void Client::connected(std::size_t index) {
  Connection& connection = connections_[index];
  int fault = 0;
  socklen_t size = sizeof(fault);
  ::getsockopt(connection.socket.get(), SOL_SOCKET, SO_ERROR, &fault, &size);
  if (fault != 0) {
    return lost(index, fault == ECONNREFUSED ? Failure::Refused : Failure::Connect,
                std::strerror(fault));
  }
  connection.connecting = false;
  ++report_.connections_opened;
  ++report_.sent;
  connection.out = request_head(connection.outstanding.front().number);
  connection.upload_left = options_.upload_bytes;
  connection.upload_at = 0;
  fill(index);
}

void Client::fill(std::size_t index) {
  Connection& connection = connections_[index];
  while (may_ask() && connection.outstanding.size() < options_.pipeline) {
    std::uint64_t number = next_number();
    connection.outstanding.push_back({number, Clock::now()});
    ++in_flight_;
    ++report_.sent;
    connection.out += request_head(number);
    connection.upload_left = options_.upload_bytes;
    connection.upload_at = 0;
  }
  write(index);
}

void Client::next_chunk(Connection& connection) {
  std::uint64_t size = std::min<std::uint64_t>(connection.upload_left, options_.chunk_bytes);
  char line[24];
  std::snprintf(line, sizeof(line), "%llx\r\n", static_cast<unsigned long long>(size));
  connection.out += line + upload_part(connection.upload_at, size) + "\r\n";
  connection.upload_at += size;
  connection.upload_left -= size;
  if (connection.upload_left == 0) connection.out += "0\r\n\r\n";
}

void Client::write(std::size_t index) {
  Connection& connection = connections_[index];
  for (;;) {
    if (connection.out.empty()) {
      if (connection.upload_left == 0 || connection.pause == Pause::Chunk) break;
      if (options_.chunk_pause.count() > 0) {
        pause(index, Pause::Chunk, options_.chunk_pause);
        break;
      }
      next_chunk(connection);
    }
    ssize_t sent =
        ::send(connection.socket.get(), connection.out.data(), connection.out.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && errno == EAGAIN) return want_write(index, true);
    if (sent < 0) {  // an early answer may still be there to be read: epoll will say so, or that it
                     // is over
      connection.out.clear();
      connection.upload_left = 0;
      break;
    }
    connection.out.erase(0, static_cast<std::size_t>(sent));
  }
  want_write(index, false);
}

void Client::read(std::size_t index) {
  Connection& connection = connections_[index];
  ssize_t size = ::recv(connection.socket.get(), buffer_.data(), buffer_.size(), 0);
  if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (size < 0) return lost(index, Failure::Reset, std::strerror(errno));
  if (size == 0) {
    if (!connection.outstanding.empty() && connection.parser.finish()) return take_answer(index);
    return lost(
        index, Failure::Eof,
        connection.parser.untouched() ? "closed before the answer" : "closed within the answer");
  }
  std::string_view bytes(buffer_.data(), static_cast<std::size_t>(size));
  int socket = connection.socket.get();
  while (!bytes.empty()) {
    if (connection.outstanding.empty())
      return lost(index, Failure::Malformed, "bytes that nobody asked for");
    bytes.remove_prefix(connection.parser.feed(bytes));
    if (connection.parser.malformed())
      return lost(index, Failure::Malformed, connection.parser.fault());
    if (!connection.parser.complete()) break;
    take_answer(index);
    if (!connection.socket || connection.socket.get() != socket || connection.connecting) return;
  }
}

void Client::take_answer(std::size_t index) {
  Connection& connection = connections_[index];
  auto now = Clock::now();
  Outstanding request = connection.outstanding.front();
  connection.outstanding.pop_front();
  --in_flight_;
  report_.longest_silence =
      std::max(report_.longest_silence, duration_cast<microseconds>(now - last_answer_));
  last_answer_ = now;
  const Response& response = connection.parser.response();
  ++report_.statuses[response.status];
  if (!options_.collect.empty()) {
    const std::string* value = response.field(options_.collect);
    ++report_.collected[value != nullptr ? *value : ""];
    connection.peer = value != nullptr ? *value : "";
  }
  if (check_answer(request, response, connection.peer)) {
    ++report_.ok;
    report_.latency.add(duration_cast<microseconds>(now - request.sent));
  }
  bool keep = response.keep_alive && !options_.fresh && connection.upload_left == 0;
  if (!response.keep_alive && !options_.fresh) ++report_.closed_politely;
  connection.parser.begin();
  if (!std::exchange(connection.counted, true) && ++answered_connections_ == connections_.size()) {
    std::fprintf(stderr, "loadgen: every connection has had an answer\n");
  }
  if (!keep) {  // RFC 9112 §9.6: what was pipelined behind the last answer may be asked again
    for (const auto& unanswered : connection.outstanding) again_.push_back(unanswered.number);
    report_.resent += connection.outstanding.size();
    in_flight_ -= connection.outstanding.size();
    connection.outstanding.clear();
    close(index);
  }
  if (!may_ask()) return;
  if (options_.think.count() > 0) {
    pause(index, Pause::Think, options_.think);
  } else {
    keep ? fill(index) : open(index);
  }
}

bool Client::check_answer(const Outstanding& request, const Response& response,
                          const std::string& peer) {
  auto fail = [&](Failure failure, std::string detail) {
    report_.fail({request.number, failure, std::move(detail), elapsed(), peer});
    return false;
  };
  if (response.status != options_.expect_status) {
    return fail(Failure::Status,
                std::to_string(response.status) + " " + response.body.substr(0, 120));
  }
  const std::string* echoed = response.field("x-request-number");
  if ((echoed == nullptr && options_.require_number) ||
      (echoed != nullptr && *echoed != std::to_string(request.number))) {
    return fail(Failure::Number,
                echoed == nullptr ? "no X-Request-Number" : "the answer of request " + *echoed);
  }
  if (options_.expect_echo && response.body != upload_part(0, options_.upload_bytes)) {
    return fail(Failure::Body,
                "the echo differs, " + std::to_string(response.body.size()) + " bytes");
  }
  if (options_.expect_body && !std::regex_search(response.body, *options_.expect_body)) {
    return fail(Failure::Body, "unexpected body: " + response.body.substr(0, 120));
  }
  return true;
}

void Client::lost(std::size_t index, Failure failure, const std::string& detail) {
  Connection& connection = connections_[index];
  if (connection.outstanding.empty() && failure != Failure::Malformed &&
      failure != Failure::Connect) {
    ++(failure == Failure::Reset ? report_.reset_idle : report_.closed_idle);
  } else if (connection.outstanding.empty()) {
    report_.fail({0, failure, detail, elapsed(), connection.peer});
  }
  for (const auto& request : connection.outstanding)
    report_.fail({request.number, failure, detail, elapsed(), connection.peer});
  in_flight_ -= connection.outstanding.size();
  connection.outstanding.clear();
  bool failed_to_open =
      connection.connecting || failure == Failure::Connect || failure == Failure::Refused;
  Pause before = connection.pause;
  close(index);
  if (!may_ask()) return;
  if (failed_to_open) {
    pause(index, Pause::Retry, kRetry);
  } else if (before == Pause::Think) {  // closed while thinking: the next request opens a new one
    pause(index, Pause::Think, options_.think);
  } else {
    open(index);
  }
}

void Client::close(std::size_t index) {
  Connection& connection = connections_[index];
  connection.socket.reset();
  connection.connecting = false;
  connection.wants_write = false;
  connection.out.clear();
  connection.upload_left = 0;
  connection.pause = Pause::None;
  connection.timer = 0;
  connection.peer.clear();
  connection.parser.begin();
}

void Client::pause(std::size_t index, Pause why, milliseconds how_long) {
  Connection& connection = connections_[index];
  connection.pause = why;
  connection.timer = ++timer_ids_;
  timers_.push({Clock::now() + how_long, index, connection.timer});
}

void Client::want_write(std::size_t index, bool wanted) {
  Connection& connection = connections_[index];
  if (!connection.socket || connection.wants_write == wanted) return;
  connection.wants_write = wanted;
  epoll_event event{};
  event.events = EPOLLIN | (wanted ? EPOLLOUT : 0U);
  event.data.u64 = index;
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, connection.socket.get(), &event);
}

void Client::stop() {
  stopping_ = true;
  end_ = Clock::time_point::max();
}

bool Client::may_ask() const {
  return !stopping_ && (options_.requests == 0 || numbers_ < options_.requests || !again_.empty());
}

std::uint64_t Client::next_number() {
  if (again_.empty()) return ++numbers_;
  std::uint64_t number = again_.front();
  again_.pop_front();
  return number;
}

std::string Client::request_head(std::uint64_t number) const {
  std::string target = options_.targets[number % options_.targets.size()];
  if (options_.mark) {
    target += (target.find('?') == std::string::npos ? "?n=" : "&n=") + std::to_string(number);
  }
  std::string head = (options_.upload_bytes > 0 ? "POST " : "GET ") + target +
                     " HTTP/1.1\r\nHost: " + options_.host + "\r\n";
  if (!options_.plain) head += "X-Request-Number: " + std::to_string(number) + "\r\n";
  if (options_.fresh) head += "Connection: close\r\n";
  if (options_.upload_bytes > 0)
    head += "Content-Type: application/octet-stream\r\nTransfer-Encoding: chunked\r\n";
  return head + "\r\n";
}

std::string Client::upload_part(std::uint64_t from, std::uint64_t size) const {
  std::string part(size, '\0');
  for (std::uint64_t i = 0; i < size; ++i) part[i] = static_cast<char>('a' + (from + i) % 26);
  return part;
}

microseconds Client::elapsed() const { return duration_cast<microseconds>(Clock::now() - start_); }

}  // namespace appd::load
