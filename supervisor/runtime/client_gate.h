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

// One client, for as long as anybody speaks of it. Only `proven` ever changes.
struct Connection {
  model::Caller caller;  // what the kernel knows: of a unix socket the process, else the address
  std::size_t entrance = 0;  // in the order of the addresses
  bool tls = false;
  model::Role most = model::Role::Viewer;  // that the entrance allows
  std::atomic<bool> proven = false;        // a call of it has said who it is, and been believed
};
using ConnectionPtr = std::shared_ptr<Connection>;

// Owns the listening sockets. Knows when a client has gone although the connection is somebody
// else's by then: it keeps a duplicate of each that it never reads. One thread runs it; it sleeps
// until a client comes or goes, or has not proved in time who it is.
class ClientGate {
 public:
  // Of one entrance, each for itself: whoever fills one keeps nobody out of another.
  static constexpr std::size_t kMostClients = 256;
  static constexpr std::size_t kMostTlsClients = 128;
  // From the connection's begin, TLS's handshake included, until a first call has been believed.
  static constexpr std::chrono::seconds kProofTime{10};

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
    // Accepting has stopped: too many clients, or no descriptor left. Tried again at this time.
    std::optional<Poller::Time> retry_at;
  };
  struct Client {
    UniqueFd witness;  // a duplicate of the connection
    ConnectionPtr connection;
  };
  struct Unproven {
    Poller::Time until;
    int witness;
    std::weak_ptr<Connection> connection;
  };
  ClientGate(std::unique_ptr<Poller> poller, std::chrono::milliseconds linger)
      : poller_(std::move(poller)), waiting_(*poller_), linger_(linger) {}
  void accept_all(std::size_t door, const Handlers& handlers);
  void pause(Door& door, Poller::Time until);
  void watch(UniqueFd witness, ConnectionPtr connection);
  void depart(int witness);
  void end_unproven(Poller::Time now);
  // Shows out those in the waiting room whose time is over.
  std::optional<Poller::Time> next_deadline();

  std::unique_ptr<Poller> poller_;
  WaitingRoom waiting_;  // those at unix sockets that are no clients yet
  std::chrono::milliseconds linger_;
  std::vector<Door> doors_;
  std::map<int, Client> clients_;  // by witness
  std::deque<Unproven> unproven_;  // as they came
  std::optional<Poller::Time> deserted_at_;
  std::atomic<bool> stopping_ = false;
};

}  // namespace appd::runtime
