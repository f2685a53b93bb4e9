// WaitingRoom: connections whose clients have not begun to speak HTTP/2.
#pragma once

#include <chrono>
#include <functional>
#include <list>
#include <optional>

#include "common/unique_fd.h"
#include "supervisor/runtime/poller.h"

namespace appd::runtime {

// Whoever connects and says nothing costs a descriptor here, for a while, and nothing behind it.
// Lets clients in by the connection preface (RFC 9113 §3.4), which they send before all else; shows
// out who says something else, who is silent for too long, and who has waited longest when every
// seat is taken. Used by the poller's thread.
class WaitingRoom {
 public:
  static constexpr std::size_t kSeats = 64;
  static constexpr std::chrono::seconds kPatience{10};
  // Takes the connection over; nothing has been read from it.
  using Admit = std::function<void(UniqueFd)>;

  explicit WaitingRoom(Poller& poller) : poller_(poller) {}
  ~WaitingRoom();

  // A nonblocking connection. May call `admit` at once.
  void hold(UniqueFd client, Poller::Time now, Admit admit);
  // Shows out who has waited too long by now; when the next one will have.
  std::optional<Poller::Time> expire(Poller::Time now);

 private:
  struct Seat {
    UniqueFd client;
    Poller::Time until;
    Admit admit;
  };
  using Seats = std::list<Seat>;
  void look(Seats::iterator seat, std::uint32_t events);
  void leave(Seats::iterator seat);

  Poller& poller_;
  Seats seats_;  // who has waited longest comes first
};

}  // namespace appd::runtime
