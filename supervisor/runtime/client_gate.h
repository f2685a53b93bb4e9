// ClientGate: where the API's clients arrive, and who is connected now.
#pragma once

#include <atomic>
#include <chrono>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/result.h"
#include "common/unique_fd.h"
#include "supervisor/model/access.h"
#include "supervisor/model/revision.h"
#include "supervisor/runtime/entrance.h"
#include "supervisor/runtime/poller.h"
#include "supervisor/runtime/waiting_room.h"

namespace appd::runtime {

// One client, for as long as anybody speaks of it. What ever changes, any thread may ask for.
struct Connection {
  model::Caller caller;  // what the kernel knows: of a unix socket the process, else the address
  std::size_t entrance = 0;  // in the order of the addresses
  bool tls = false;
  model::Role most = model::Role::Viewer;  // that the entrance allows
  std::atomic<bool> proven = false;        // a call of it has said who it is, and been believed

  // False: it has been shown out, and none of its calls is served any more.
  bool begin_call();
  void end_call();
  // Shows it out, unless a call of it is in hand.
  bool leave();
  bool is_idle() const { return calls_ == 0; }
  bool has_left() const { return calls_ == kLeft; }
  std::chrono::steady_clock::time_point idle_since() const;

 private:
  using Ticks = std::chrono::steady_clock::duration;
  static constexpr int kLeft = -1;
  std::atomic<int> calls_ = 0;  // in hand, or kLeft
  std::atomic<Ticks::rep> idle_since_ = std::chrono::steady_clock::now().time_since_epoch().count();
};
using ConnectionPtr = std::shared_ptr<Connection>;

// Owns the listening sockets. Knows when a client has gone although the connection is somebody
// else's by then: it keeps a duplicate of each that it never reads. One thread runs it; it sleeps
// until a client comes or goes, or has not proved in time who it is.
class ClientGate {
 public:
  // Of one entrance, each for itself: whoever fills one keeps nobody out of another. Whoever has no
  // call in hand makes way for who comes, who is idle longest first. Only while all of them have
  // calls in hand the next one waits.
  static constexpr std::size_t kMostClients = 256;
  static constexpr std::size_t kMostTlsClients = 128;
  // From the connection's begin, TLS's handshake included, until a first call has been believed.
  static constexpr std::chrono::seconds kProofTime{10};
  // Whoever has been asked to leave closes the connection, within kProofTime; sooner when so many
  // others have been asked since.
  static constexpr std::size_t kMostLeaving = 64;

  struct Handlers {
    // A nonblocking connection, of a unix socket once its client has begun to speak.
    std::function<void(UniqueFd, ConnectionPtr)> arrived;
    // Nobody has been connected for `linger`.
    std::function<void()> deserted;
  };

  // Opens every address or none. `inherited`: as Entrance::open() has it.
  static Result<std::unique_ptr<ClientGate>> open(const std::vector<model::Entrance>& addresses,
                                                  std::chrono::milliseconds linger,
                                                  std::vector<UniqueFd> inherited = {});

  // For the appd after us.
  std::vector<int> entrances() const;

  // Until stop().
  void run(const Handlers& handlers);
  // Any thread.
  void stop();

 private:
  struct Door {
    Entrance entrance;
    std::size_t clients = 0;
    // Accepting has stopped: nobody makes way, or no descriptor is left. Tried again at this time.
    std::optional<Poller::Time> retry_at;
  };
  struct Client {
    UniqueFd witness;  // a duplicate of the connection
    ConnectionPtr connection;
  };
  using Clients = std::map<int, Client>;  // by witness
  struct Ending {
    Poller::Time until;
    int witness;
    std::weak_ptr<Connection> connection;
  };
  ClientGate(std::unique_ptr<Poller> poller, std::chrono::milliseconds linger)
      : poller_(std::move(poller)), waiting_(*poller_), linger_(linger) {}
  void accept_all(std::size_t door, const Handlers& handlers);
  void pause(Door& door);
  // Among those of the entrance who may be shown out, the next; end(): there is none.
  Clients::iterator next_to_leave(std::size_t door);
  bool is_full(std::size_t door) const;
  void make_way(std::size_t door);
  void watch(UniqueFd witness, ConnectionPtr connection);
  void give_up_place(const Connection& connection);
  static void end(int witness);
  void depart(int witness);
  void end_due(Poller::Time now);
  // Shows out those in the waiting room whose time is over.
  std::optional<Poller::Time> next_deadline();

  std::unique_ptr<Poller> poller_;
  WaitingRoom waiting_;  // those at unix sockets that are no clients yet
  std::chrono::milliseconds linger_;
  std::vector<Door> doors_;
  Clients clients_;
  std::deque<Ending> unproven_;  // as they came
  std::deque<Ending> leaving_;   // as they were asked to
  std::optional<Poller::Time> deserted_at_;
  std::atomic<bool> stopping_ = false;
};

}  // namespace appd::runtime
