// Who may go in is seen from bytes that are left where they are.
#include "supervisor/runtime/waiting_room.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <string_view>

namespace appd::runtime {
namespace {

constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

}  // namespace

WaitingRoom::~WaitingRoom() {
  while (!seats_.empty()) leave(seats_.begin());
}

void WaitingRoom::hold(UniqueFd client, Poller::Time now, Admit admit) {
  // Who has waited longest may have spoken since.
  if (seats_.size() >= kSeats) look(seats_.begin(), EPOLLIN);
  if (seats_.size() >= kSeats) leave(seats_.begin());
  const int fd = client.get();
  const auto seat =
      seats_.insert(seats_.end(), Seat{std::move(client), now + kPatience, std::move(admit)});
  // Edges: what has been looked at and left there is no news.
  if (!poller_.add(fd, EPOLLIN | EPOLLRDHUP | EPOLLET,
                   [this, seat](std::uint32_t events) { look(seat, events); })) {
    seats_.erase(seat);
    return;
  }
  look(seat, EPOLLIN);
}

void WaitingRoom::look(Seats::iterator seat, std::uint32_t events) {
  std::array<char, kPreface.size()> bytes{};
  const ssize_t size =
      ::recv(seat->client.get(), bytes.data(), bytes.size(), MSG_PEEK | MSG_DONTWAIT);
  if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
  const std::string_view said(bytes.data(), size > 0 ? static_cast<std::size_t>(size) : 0);
  if (said.empty() || !kPreface.starts_with(said)) return leave(seat);
  if (said.size() < kPreface.size()) {
    if ((events & (EPOLLRDHUP | EPOLLHUP)) != 0) leave(seat);  // there will be no more
    return;
  }
  UniqueFd client = std::move(seat->client);
  const Admit admit = std::move(seat->admit);
  poller_.remove(client.get());
  seats_.erase(seat);
  admit(std::move(client));
}

void WaitingRoom::leave(Seats::iterator seat) {
  poller_.remove(seat->client.get());
  seats_.erase(seat);
}

std::optional<Poller::Time> WaitingRoom::expire(Poller::Time now) {
  while (!seats_.empty() && seats_.front().until <= now) leave(seats_.begin());
  if (seats_.empty()) return std::nullopt;
  return seats_.front().until;
}

}  // namespace appd::runtime
