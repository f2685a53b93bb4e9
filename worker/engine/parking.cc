// The second epoll set, and giving away.
#include "worker/engine/parking.h"

#include <sys/epoll.h>

#include <array>
#include <cerrno>

#include "worker/engine/connection.h"

namespace appd::engine {
namespace {

// Few at a time: the engine waits for us when it closes a connection meanwhile.
constexpr int kBatch = 16;
constexpr std::uint32_t kEnded = EPOLLRDHUP | EPOLLHUP | EPOLLERR;

}  // namespace

Result<std::unique_ptr<Parking>> Parking::create(Handover handover, int engine_epoll) {
  UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll) return sys_error("PARKING_CREATE", "create epoll", errno);
  return std::unique_ptr<Parking>(new Parking(std::move(handover), std::move(epoll), engine_epoll));
}

void Parking::park(Connection& connection) {
  // Watched only once there is somebody to give it to: a worker that is alone pays nothing.
  if (!connection.watched_by_parking() && handover_.has_takers()) {
    epoll_event event{};
    event.events = EPOLLIN | EPOLLRDHUP | EPOLLET;
    event.data.ptr = &connection;
    int added = ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, connection.socket(), &event);
    connection.set_watched_by_parking(added == 0);
  }
  connection.park();
}

void Parking::remove(Connection& connection) {
  if (!connection.watched_by_parking()) return;
  std::lock_guard lock(mutex_);
  // Fails for one that was given, which is what we want.
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, connection.socket(), nullptr);
}

bool Parking::give_away() {
  std::lock_guard lock(mutex_);
  std::array<epoll_event, kBatch> events;
  int count = ::epoll_wait(epoll_.get(), events.data(), kBatch, 0);
  for (int i = 0; i < count; ++i) {
    const epoll_event& event = events[static_cast<std::size_t>(i)];
    // One that has ended asks for nothing.
    if ((event.events & kEnded) == 0) give(*static_cast<Connection*>(event.data.ptr));
  }
  return has_given_.load(std::memory_order_relaxed);
}

// Whoever takes it must be the only one who holds it: only then does it end when he closes it.
void Parking::give(Connection& connection) {
  if (!connection.give()) return;
  bool put = handover_.put(connection.client());
  if (put) {
    int socket = connection.socket();
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, socket, nullptr);
    ::epoll_ctl(engine_epoll_, EPOLL_CTL_DEL, socket, nullptr);
    connection.client().socket.reset();
  }
  given_.push_back({&connection, !put});
  has_given_.store(true, std::memory_order_release);
}

std::vector<Parking::Given> Parking::take_given() {
  std::lock_guard lock(mutex_);
  has_given_.store(false, std::memory_order_relaxed);
  return std::exchange(given_, {});
}

}  // namespace appd::engine
