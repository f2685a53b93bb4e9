// ClientGate: the unix sockets on which the API's clients arrive, and who is connected now.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/result.h"
#include "common/unique_fd.h"
#include "supervisor/model/access.h"
#include "supervisor/model/address.h"
#include "supervisor/model/revision.h"
#include "supervisor/runtime/poller.h"
#include "supervisor/runtime/waiting_room.h"

namespace appd::runtime {

// Owns the listening sockets and their files, which it removes at the end. Knows when a client has
// gone although the connection is somebody else's by then: it keeps a duplicate of each that it
// never reads. One thread runs it; it sleeps until a client comes or goes.
class ClientGate {
 public:
  static constexpr std::size_t kMostClients = 256;

  struct Handlers {
    // A nonblocking connection on which a client has begun to speak, the kernel's word on who is
    // behind it, and what they may do.
    std::function<void(UniqueFd, model::Caller who, model::Role role)> arrived;
    // Nobody has been connected for `linger`.
    std::function<void()> deserted;
  };

  // Opens every address (model::parse_entrance) or none. The files have mode 0600 until they belong
  // to whom they should, and nobody can connect before they have their own. Refuses a path
  // where somebody listens, and one that holds anything but a socket that nobody listens on.
  // `inherited`: sockets of the appd before us, which take the places of those that would be
  // opened.
  static Result<std::unique_ptr<ClientGate>> open(const std::vector<std::string>& addresses,
                                                  std::chrono::milliseconds linger,
                                                  std::vector<UniqueFd> inherited = {});
  ~ClientGate();

  // For the appd after us.
  std::vector<int> entrances() const;

  // Until stop().
  void run(const Handlers& handlers);
  // Any thread.
  void stop();

 private:
  struct Entrance {
    std::string path;
    model::Role role;
    UniqueFd socket;
    std::uint64_t inode = 0;
  };
  ClientGate(std::unique_ptr<Poller> poller, std::chrono::milliseconds linger)
      : poller_(std::move(poller)), waiting_(*poller_), linger_(linger) {}
  static Result<Entrance> open_entrance(const std::string& text, std::vector<UniqueFd>& inherited);
  void accept_all(const Entrance& entrance, const Handlers& handlers);
  void watch(UniqueFd witness);
  void listen_for_clients(bool yes);

  std::unique_ptr<Poller> poller_;
  WaitingRoom waiting_;  // those that are no clients yet
  std::chrono::milliseconds linger_;
  std::vector<Entrance> entrances_;
  std::map<int, UniqueFd> witnesses_;  // a duplicate of each connection
  std::optional<Poller::Time> deserted_at_;
  // Accepting has stopped: too many clients, or no descriptor left. Tried again at this time.
  std::optional<Poller::Time> retry_at_;
  std::atomic<bool> stopping_ = false;
};

}  // namespace appd::runtime
