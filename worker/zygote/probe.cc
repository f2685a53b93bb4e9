// The tries of a health check, and what each of them found.
#include "worker/zygote/probe.h"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <thread>
#include <utility>

#include "worker/net/socket_io.h"
#include "worker/zygote/health_answer.h"

namespace appd::zygote {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kPause{500};  // between two tries

// "5 s", "300 ms"
std::string duration_text(std::uint32_t ms) {
  return ms % 1000 == 0 ? std::to_string(ms / 1000) + " s" : std::to_string(ms) + " ms";
}

// False: not readable before the deadline.
bool wait_readable(int fd, net::TimePoint deadline) {
  for (;;) {
    auto left = std::chrono::ceil<milliseconds>(deadline - net::steady_now());
    if (left.count() <= 0) return false;
    pollfd polled{fd, POLLIN, 0};
    int count = ::poll(&polled, 1, static_cast<int>(left.count()));
    if (count > 0) return true;
    if (count < 0 && errno != EINTR) return false;
  }
}

}  // namespace

Result<std::unique_ptr<Probe>> Probe::create(const message::Settings& settings) {
  UniqueFd bell(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!bell) return sys_error("PROBE_CREATE", "create eventfd", errno);
  return std::unique_ptr<Probe>(new Probe(settings, std::move(bell)));
}

void Probe::start(std::function<void(const Verdict&)> unhealthy) {
  unhealthy_ = std::move(unhealthy);
  sigset_t all;  // signals are for the thread that serves
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  std::thread([this] { run(); }).detach();
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void Probe::run() {
  Verdict verdict = ask_until_healthy();
  if (!verdict.healthy) return unhealthy_(verdict);
  {
    std::lock_guard lock(mutex_);
    news_.healthy = true;
  }
  ring();
}

Probe::Verdict Probe::ask_until_healthy() {
  std::uint32_t tries = std::max(settings_.health_tries, 1U);
  Verdict verdict;
  for (std::uint32_t i = 0; i < tries; ++i) {
    if (i > 0) std::this_thread::sleep_for(kPause);
    verdict = ask();
    if (verdict.healthy) return verdict;
  }
  verdict.summary += " (" + std::to_string(tries) + (tries == 1 ? " try)" : " tries)");
  return verdict;
}

// One try. The engine may take the connection late, when the app is busy with an earlier one: that
// time counts.
Probe::Verdict Probe::ask() {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0) {
    return {false, wrong("could not be asked: no socket pair"), ""};
  }
  UniqueFd ours(ends[0]);
  net::TimePoint deadline = net::steady_now() + milliseconds(settings_.health_timeout_ms);
  std::string request = HealthAnswer::request(settings_.health_path);
  // A new pair has room for more than that.
  net::send_now(ours.get(), request.data(), request.size());
  offer(UniqueFd(ends[1]));

  HealthAnswer answer;
  char buffer[4096];
  for (;;) {
    if (!wait_readable(ours.get(), deadline)) {
      std::string within = " within " + duration_text(settings_.health_timeout_ms);
      bool began = answer.status() != 0;
      return {false, wrong((began ? "did not end its answer" : "gave no answer") + within),
              answer.text()};
    }
    ssize_t got = net::receive_now(ours.get(), buffer, sizeof(buffer));
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (got <= 0) break;
    answer.take(std::string_view(buffer, static_cast<std::size_t>(got)));
  }
  int status = answer.status();
  if (status == 0) return {false, wrong("ended without an answer"), ""};
  if (!answer.complete()) return {false, wrong("broke off its answer"), answer.text()};
  std::string expected = std::to_string(settings_.health_status_first);
  if (settings_.health_status_last != settings_.health_status_first) {
    expected += "-" + std::to_string(settings_.health_status_last);
  }
  bool healthy = status >= settings_.health_status_first && status <= settings_.health_status_last;
  return {healthy, wrong("answered " + std::to_string(status) + ", expected " + expected),
          answer.text()};
}

std::string Probe::wrong(const std::string& what) const {
  return "health check GET " + settings_.health_path + " " + what;
}

void Probe::offer(UniqueFd connection) {
  {
    std::lock_guard lock(mutex_);
    news_.connections.push_back(std::move(connection));
  }
  ring();
}

void Probe::ring() {
  std::uint64_t one = 1;
  if (::write(bell_.get(), &one, sizeof(one)) < 0) return;  // full: rings already
}

Probe::News Probe::take_news() {
  std::uint64_t rung = 0;
  if (::read(bell_.get(), &rung, sizeof(rung)) < 0) return {};
  std::lock_guard lock(mutex_);
  return std::exchange(news_, {});
}

}  // namespace appd::zygote
