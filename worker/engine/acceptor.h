// Acceptor: where a worker's clients come from: the listening sockets, shared with its siblings,
// and the queue in which they put those that they have no time for.
#pragma once

#include <optional>
#include <vector>

#include "common/result.h"
#include "common/unique_fd.h"
#include "worker/engine/client.h"
#include "worker/engine/handover.h"
#include "worker/net/clock.h"

namespace appd::engine {

// Owns this process's descriptors of the listeners, borrows the queue. Under the engine's lock.
// Each is level triggered and exclusive: one arrival wakes one idle worker, and what nobody took
// wakes again.
class Acceptor {
 public:
  // Tags are the epoll data of the queue, first_tag, and of each listener: first_tag + 1, …
  static Result<Acceptor> open(std::vector<UniqueFd> listeners, const Handover& handover, int epoll,
                               std::uint64_t first_tag);

  std::size_t count() const { return listeners_.size(); }
  void note_ready(std::uint64_t tag);
  bool ready() const { return ready_; }
  // One client of the accept queues, or nothing when there is none now.
  std::optional<Client> accept();
  // One that a sibling has given away, if note_ready() has told of any.
  std::optional<Client> take_given();
  void rest() { ready_ = false; }

  // A descriptor was freed, or it is retry_at(): accept again if we had to stop.
  void resume();
  // Descriptors are freed by the app too, which nobody tells us; kNever: we have not stopped.
  net::TimePoint retry_at() const { return retry_at_; }
  // Leaves new clients to the siblings, until it is called with false.
  void hold_back(bool held_back);
  // Behind all siblings that wait for clients too, those of other rollouts included: of exclusive
  // waiters the kernel wakes the one that has waited for longest, which otherwise stays first.
  void queue_up_again();
  // Takes the listeners out of epoll; accept() still works for what had woken only us.
  void stop();
  void close();

 private:
  Acceptor(std::vector<UniqueFd> listeners, const Handover& handover, int epoll,
           std::uint64_t first_tag)
      : listeners_(std::move(listeners)),
        handover_(&handover),
        epoll_(epoll),
        first_tag_(first_tag) {}
  Result<void> watch();
  Result<void> watch(int fd, std::uint64_t tag);
  void unwatch();
  std::optional<Client> accept_from(std::size_t listener);
  void pause(int error);
  void revive(std::size_t listener);

  std::vector<UniqueFd> listeners_;
  std::vector<int> backlogs_;  // of the listeners
  const Handover* handover_;
  int epoll_;
  std::uint64_t first_tag_;
  std::size_t next_ = 0;
  bool ready_ = false;
  bool given_ready_ = false;
  bool watched_ = false;
  bool paused_ = false;  // out of descriptors
  net::TimePoint retry_at_ = net::kNever;
  bool held_back_ = false;
};

// The port and host that a listener is bound to, for SERVER_NAME and SERVER_PORT.
Peer local_name(int socket);

}  // namespace appd::engine
