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

// "10.0.0.7:53230", "[fe80::1%2]:53230"; empty: it has gone.
std::string where_from(int fd) {
  sockaddr_storage storage{};
  socklen_t size = sizeof(storage);
  if (::getpeername(fd, reinterpret_cast<sockaddr*>(&storage), &size) != 0) return "";
  return model::describe_peer(storage);
}

}  // namespace

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

void ClientGate::pause(Door& door, Poller::Time until) {
  poller_->change(door.entrance.fd(), 0);
  door.retry_at = until;
}

void ClientGate::depart(int witness) {
  poller_->remove(witness);
  const auto gone = clients_.extract(witness);
  if (gone.empty()) return;
  Door& door = doors_[gone.mapped().connection->entrance];
  --door.clients;
  if (door.retry_at) door.retry_at = steady_clock::now();
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
  while (true) {
    if (door.clients >= (settings.is_tls() ? kMostTlsClients : kMostClients)) {
      return pause(door, Poller::Time::max());  // until one goes
    }
    UniqueFd client(::accept4(door.entrance.fd(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!client && (errno == EINTR || errno == ECONNABORTED)) continue;
    if (!client && errno == EAGAIN) return;
    UniqueFd witness(client ? ::fcntl(client.get(), F_DUPFD_CLOEXEC, 0) : -1);
    // No descriptor left. The rest waits in the backlog: a level-triggered entrance would spin.
    if (!witness) return pause(door, steady_clock::now() + kRetryAccept);
    const auto connection = std::make_shared<Connection>();
    connection->entrance = index;
    connection->tls = settings.is_tls();
    connection->most = settings.role;
    if (connection->tls) {
      connection->caller.address = where_from(client.get());
      if (connection->caller.address.empty()) continue;
      watch(std::move(witness), connection);
      handlers.arrived(std::move(client), connection);
      continue;
    }
    // Kept with it, so that there is a descriptor for it when the client speaks.
    auto kept = std::make_shared<UniqueFd>(std::move(witness));
    waiting_.hold(std::move(client), steady_clock::now(),
                  [this, kept, connection, &handlers](UniqueFd speaking) {
                    connection->caller = who_is(speaking.get());
                    watch(std::move(*kept), connection);
                    handlers.arrived(std::move(speaking), connection);
                  });
  }
}

// What has gone, or has proved itself, is passed over when its time comes.
void ClientGate::end_unproven(Poller::Time now) {
  for (; !unproven_.empty() && unproven_.front().until <= now; unproven_.pop_front()) {
    const ConnectionPtr connection = unproven_.front().connection.lock();
    const auto client = clients_.find(unproven_.front().witness);
    if (client == clients_.end() || client->second.connection != connection) continue;
    // gRPC's own descriptor sees it too, and closes.
    if (!connection->proven) ::shutdown(client->first, SHUT_RDWR);
  }
}

std::optional<Poller::Time> ClientGate::next_deadline() {
  std::optional<Poller::Time> deadline = deserted_at_;
  const auto by = [&deadline](Poller::Time time) {
    if (time != Poller::Time::max()) deadline = std::min(deadline.value_or(time), time);
  };
  for (const Door& door : doors_) by(door.retry_at.value_or(Poller::Time::max()));
  if (!unproven_.empty()) by(unproven_.front().until);
  by(waiting_.expire(steady_clock::now()).value_or(Poller::Time::max()));
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
    end_unproven(now);
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
