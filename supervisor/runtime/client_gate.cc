// Accepting within bounds, and noticing departures.
#include "supervisor/runtime/client_gate.h"

#include <fcntl.h>
#include <pwd.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace appd::runtime {
namespace {

using std::chrono::steady_clock;

constexpr std::chrono::seconds kRetryAccept{1};

// Empty if the host knows no such user. On this thread a slow directory service holds up new
// clients only.
std::string user_name(uid_t uid) {
  std::array<char, 4096> buffer{};
  passwd entry{};
  passwd* found = nullptr;
  if (::getpwuid_r(uid, &entry, buffer.data(), buffer.size(), &found) != 0) return "";
  return found == nullptr ? "" : model::client_text(found->pw_name);
}

model::Caller who_is(int fd) {
  model::Caller caller;
  ucred peer{};
  socklen_t size = sizeof(peer);
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return caller;
  caller.uid = peer.uid;
  caller.pid = peer.pid;
  caller.user = user_name(peer.uid);
  return caller;
}

// Tells the client of an HTTP/2 connection that nothing more of what it sends is looked at, so that
// it sends that again on another one (RFC 9113 §6.8): GOAWAY, with 0 as the last stream. gRPC,
// whose connection it is, writes nothing of its own while no call is in hand.
void say_goodbye(int fd) {
  constexpr std::array<unsigned char, 17> kGoAway = {0, 0, 8, 7, 0, 0, 0, 0, 0,
                                                     0, 0, 0, 0, 0, 0, 0, 0};
  (void)!::send(fd, kGoAway.data(), kGoAway.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
}

// "10.0.0.7:53230", "[fe80::1%2]:53230"; empty: it has gone.
std::string where_from(int fd) {
  sockaddr_storage storage{};
  socklen_t size = sizeof(storage);
  if (::getpeername(fd, reinterpret_cast<sockaddr*>(&storage), &size) != 0) return "";
  return model::describe_peer(storage);
}

}  // namespace

bool Connection::begin_call() {
  int calls = calls_;
  while (calls != kLeft && !calls_.compare_exchange_weak(calls, calls + 1)) {
  }
  return calls != kLeft;
}

void Connection::end_call() {
  idle_since_ = steady_clock::now().time_since_epoch().count();
  --calls_;
}

bool Connection::leave() {
  int none = 0;
  return calls_.compare_exchange_strong(none, kLeft);
}

steady_clock::time_point Connection::idle_since() const {
  return steady_clock::time_point(Ticks(idle_since_));
}

Result<std::unique_ptr<ClientGate>> ClientGate::open(const std::vector<model::Entrance>& addresses,
                                                     std::chrono::milliseconds linger,
                                                     std::vector<UniqueFd> inherited) {
  std::unique_ptr<ClientGate> gate(new ClientGate(TRY(Poller::create()), linger));
  for (const model::Entrance& address : addresses) {
    gate->doors_.push_back({TRY(Entrance::open(address, inherited)), 0, {}});
  }
  return gate;
}

std::vector<int> ClientGate::entrances() const {
  std::vector<int> all;
  for (const Door& door : doors_) all.push_back(door.entrance.fd());
  return all;
}

// The rest waits in the backlog: a level-triggered entrance would spin.
void ClientGate::pause(Door& door) {
  poller_->change(door.entrance.fd(), 0);
  door.retry_at = steady_clock::now() + kRetryAccept;
}

bool ClientGate::is_full(std::size_t index) const {
  const Door& door = doors_[index];
  return door.clients >= (door.entrance.settings().is_tls() ? kMostTlsClients : kMostClients);
}

ClientGate::Clients::iterator ClientGate::next_to_leave(std::size_t door) {
  auto next = clients_.end();
  for (auto client = clients_.begin(); client != clients_.end(); ++client) {
    const Connection& connection = *client->second.connection;
    if (connection.entrance != door || !connection.is_idle()) continue;
    const bool first = next == clients_.end();
    if (first || connection.idle_since() < next->second.connection->idle_since()) next = client;
  }
  return next;
}

void ClientGate::make_way(std::size_t door) {
  while (is_full(door)) {
    const auto next = next_to_leave(door);
    if (next == clients_.end()) return;
    const ConnectionPtr connection = next->second.connection;
    if (!connection->leave()) continue;  // a call of it has just come
    give_up_place(*connection);
    if (connection->tls) {
      const int witness = next->first;
      end(witness);  // nobody but gRPC can say anything inside of it
      depart(witness);
      continue;
    }
    say_goodbye(next->first);
    leaving_.push_back({steady_clock::now() + kProofTime, next->first, connection});
    if (leaving_.size() > kMostLeaving) leaving_.front().until = steady_clock::now();
    end_due(steady_clock::now());
  }
}

void ClientGate::give_up_place(const Connection& connection) {
  Door& door = doors_[connection.entrance];
  --door.clients;
  if (door.retry_at) door.retry_at = steady_clock::now();
}

void ClientGate::depart(int witness) {
  poller_->remove(witness);
  const auto gone = clients_.extract(witness);
  if (gone.empty()) return;
  // The place of one who was asked to leave has been given away then.
  if (!gone.mapped().connection->has_left()) give_up_place(*gone.mapped().connection);
  if (clients_.empty()) deserted_at_ = steady_clock::now() + linger_;
}

void ClientGate::watch(UniqueFd witness, ConnectionPtr connection) {
  const int fd = witness.get();
  deserted_at_.reset();
  ++doors_[connection->entrance].clients;
  if (connection->tls) {
    unproven_.push_back({steady_clock::now() + kProofTime, fd, connection});
  }
  clients_[fd] = {std::move(witness), std::move(connection)};
  // No interest in data: only the end of the peer, or of our own side, wakes this thread.
  auto added = poller_->add(fd, EPOLLRDHUP, [this, fd](std::uint32_t) { depart(fd); });
  if (!added) depart(fd);
}

void ClientGate::accept_all(std::size_t index, const Handlers& handlers) {
  Door& door = doors_[index];
  const model::Entrance& settings = door.entrance.settings();
  // No more in one turn, so that those who have come are seen to speak.
  for (std::size_t turns = 0; turns < WaitingRoom::kSeats / 2; ++turns) {
    if (is_full(index) && next_to_leave(index) == clients_.end()) return pause(door);
    UniqueFd client(::accept4(door.entrance.fd(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!client && (errno == EINTR || errno == ECONNABORTED)) continue;
    if (!client && errno == EAGAIN) return;
    UniqueFd witness(client ? ::fcntl(client.get(), F_DUPFD_CLOEXEC, 0) : -1);
    if (!witness) return pause(door);  // no descriptor left
    const auto connection = std::make_shared<Connection>();
    connection->entrance = index;
    connection->tls = settings.is_tls();
    connection->most = settings.role;
    if (connection->tls) {
      connection->caller.address = where_from(client.get());
      if (connection->caller.address.empty()) continue;
      make_way(index);
      watch(std::move(witness), connection);
      handlers.arrived(std::move(client), connection);
      continue;
    }
    // Kept with it, so that there is a descriptor for it when the client speaks.
    auto kept = std::make_shared<UniqueFd>(std::move(witness));
    waiting_.hold(std::move(client), steady_clock::now(),
                  [this, index, kept, connection, &handlers](UniqueFd speaking) {
                    make_way(index);
                    connection->caller = who_is(speaking.get());
                    watch(std::move(*kept), connection);
                    handlers.arrived(std::move(speaking), connection);
                  });
  }
}

// gRPC's own descriptor sees it too, and closes.
void ClientGate::end(int witness) { ::shutdown(witness, SHUT_RDWR); }

// What has gone, or has proved itself, is passed over when its time comes.
void ClientGate::end_due(Poller::Time now) {
  for (std::deque<Ending>* each : {&unproven_, &leaving_}) {
    for (; !each->empty() && each->front().until <= now; each->pop_front()) {
      const ConnectionPtr connection = each->front().connection.lock();
      const auto client = clients_.find(each->front().witness);
      if (client == clients_.end() || client->second.connection != connection) continue;
      if (each == &leaving_ || !connection->proven) end(client->first);
    }
  }
}

std::optional<Poller::Time> ClientGate::next_deadline() {
  std::optional<Poller::Time> deadline = deserted_at_;
  const auto by = [&deadline](Poller::Time time) {
    deadline = std::min(deadline.value_or(time), time);
  };
  for (const Door& door : doors_) {
    if (door.retry_at) by(*door.retry_at);
  }
  for (const auto* each : {&unproven_, &leaving_}) {
    if (!each->empty()) by(each->front().until);
  }
  if (const auto shown_out = waiting_.expire(steady_clock::now())) by(*shown_out);
  return deadline;
}

void ClientGate::run(const Handlers& handlers) {
  for (std::size_t door = 0; door < doors_.size(); ++door) {
    auto added = poller_->add(doors_[door].entrance.fd(), EPOLLIN,
                              [this, door, &handlers](auto) { accept_all(door, handlers); });
    APPD_CHECK(added.has_value());
  }
  while (!stopping_) {
    poller_->wait(next_deadline());
    const auto now = steady_clock::now();
    for (Door& door : doors_) {
      if (!door.retry_at || *door.retry_at > now) continue;
      door.retry_at.reset();
      poller_->change(door.entrance.fd(), EPOLLIN);
    }
    end_due(now);
    if (deserted_at_ && *deserted_at_ <= now) {
      deserted_at_.reset();
      handlers.deserted();
    }
  }
  for (const Door& door : doors_) poller_->remove(door.entrance.fd());
}

void ClientGate::stop() {
  stopping_ = true;
  poller_->wake();
}

}  // namespace appd::runtime
