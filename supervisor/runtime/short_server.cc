// One connection after the other is read, answered and closed, none of them waited for.
#include "supervisor/runtime/short_server.h"

#include <pthread.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace appd::runtime {

using std::chrono::steady_clock;

Result<std::unique_ptr<ShortServer>> ShortServer::start(const std::vector<std::string>& addresses,
                                                        Answer answer,
                                                        std::chrono::milliseconds patience) {
  model::AppSpec spec;
  spec.bind = addresses;
  spec.backlog = 2 * static_cast<std::int32_t>(kMostClients);
  spec.unix_socket_mode = "0600";
  ListenerSet listeners = TRY(ListenerSet::open(spec, {}));
  auto poller = TRY(Poller::create());
  std::unique_ptr<ShortServer> server(
      new ShortServer(std::move(poller), std::move(listeners), std::move(answer), patience));
  for (int fd : server->listeners_.descriptors()) {
    TRY(server->poller_->add(fd, EPOLLIN,
                             [raw = server.get(), fd](auto) { raw->accept_some(fd); }));
  }
  server->thread_ = std::thread([raw = server.get()] { raw->run(); });
  return server;
}

ShortServer::ShortServer(std::unique_ptr<Poller> poller, ListenerSet listeners, Answer answer,
                         std::chrono::milliseconds patience)
    : poller_(std::move(poller)),
      listeners_(std::move(listeners)),
      answer_(std::move(answer)),
      patience_(patience) {}

ShortServer::~ShortServer() {
  stopping_ = true;
  poller_->wake();
  if (thread_.joinable()) thread_.join();
  listeners_.abandon({});
}

void ShortServer::run() {
  ::pthread_setname_np(::pthread_self(), "appd-metrics");
  while (!stopping_) {
    std::optional<Poller::Time> deadline;
    for (const auto& [fd, client] : clients_) {
      deadline = std::min(deadline.value_or(client.deadline), client.deadline);
    }
    poller_->wait(deadline);
    end_overdue();
  }
}

void ShortServer::end_overdue() {
  const auto now = steady_clock::now();
  std::vector<int> overdue;
  for (const auto& [fd, client] : clients_) {
    if (client.deadline <= now) overdue.push_back(fd);
  }
  for (int fd : overdue) end(fd);
}

void ShortServer::accept_some(int listener) {
  while (clients_.size() < kMostClients) {
    UniqueFd socket(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!socket) {
      if (errno == EINTR || errno == ECONNABORTED) continue;
      // Without descriptors left, those that wait are looked at when one of ours goes.
      if (errno == EAGAIN || clients_.empty()) return;
      break;
    }
    const int fd = socket.get();
    if (!poller_->add(fd, EPOLLIN, [this, fd](auto) { on_client(fd); })) return;
    clients_[fd] = {std::move(socket), steady_clock::now() + patience_, {}, {}};
  }
  full_ = true;
  for (int fd : listeners_.descriptors()) poller_->change(fd, 0);
}

void ShortServer::accept_more() {
  if (!std::exchange(full_, false)) return;
  for (int fd : listeners_.descriptors()) poller_->change(fd, EPOLLIN);
}

void ShortServer::on_client(int fd) {
  Client& client = clients_.at(fd);
  const bool stays = client.unsent.empty() ? receive(client) : send(client);
  if (!stays) end(fd);
}

bool ShortServer::receive(Client& client) {
  std::array<char, 4096> bytes;
  const ssize_t got = ::recv(client.socket.get(), bytes.data(), bytes.size(), 0);
  if (got <= 0) return got < 0 && (errno == EAGAIN || errno == EINTR);
  if (client.answered) return true;  // of no interest; read, so that closing does not reset
  client.received.append(bytes.data(), static_cast<std::size_t>(got));
  auto answer = answer_(client.received);
  if (!answer) return true;
  client.answered = true;
  client.unsent = *std::move(answer);
  return send(client);
}

bool ShortServer::send(Client& client) {
  while (!client.unsent.empty()) {
    const ssize_t sent =
        ::send(client.socket.get(), client.unsent.data(), client.unsent.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && errno != EAGAIN) return false;
    if (sent < 0) {
      poller_->change(client.socket.get(), EPOLLOUT);
      return true;
    }
    client.unsent.erase(0, static_cast<std::size_t>(sent));
  }
  // Whoever sends on would reset the connection, and with it the end of the answer (RFC 9112 §9.6).
  ::shutdown(client.socket.get(), SHUT_WR);
  poller_->change(client.socket.get(), EPOLLIN);
  return true;
}

void ShortServer::end(int fd) {
  poller_->remove(fd);
  clients_.erase(fd);
  accept_more();
}

}  // namespace appd::runtime
