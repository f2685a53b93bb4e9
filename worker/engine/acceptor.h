// Acceptor: the listening sockets of one worker, shared with its siblings.
#pragma once

#include <optional>
#include <vector>

#include "common/result.h"
#include "common/unique_fd.h"
#include "worker/engine/connection.h"

namespace appd::engine {

struct Accepted {
  UniqueFd socket;
  Peer peer;
  std::size_t listener;
};

// Owns this process's descriptors of the listeners. Under the engine's lock. Each is level
// triggered and exclusive: one arrival wakes one idle worker, and what nobody took wakes again.
class Acceptor {
 public:
  // Tags are the epoll data of each listener: first_tag, first_tag + 1, …
  static Result<Acceptor> open(std::vector<UniqueFd> listeners, int epoll, std::uint64_t first_tag);

  std::size_t count() const { return listeners_.size(); }
  void note_ready(std::size_t listener) { ready_ = true, next_ = listener; }
  bool ready() const { return ready_; }
  // One client, or nothing when there is none now.
  std::optional<Accepted> accept();
  void rest() { ready_ = false; }

  // A descriptor was freed: accept again if we had to stop.
  void resume();
  // Leaves new clients to the siblings, until it is called with false.
  void hold_back(bool held_back);
  // Takes the listeners out of epoll; accept() still works for what had woken only us.
  void stop();
  void close();

 private:
  Acceptor(std::vector<UniqueFd> listeners, int epoll, std::uint64_t first_tag)
      : listeners_(std::move(listeners)), epoll_(epoll), first_tag_(first_tag) {}
  Result<void> watch();
  void unwatch();
  std::optional<Accepted> accept_from(std::size_t listener);

  std::vector<UniqueFd> listeners_;
  int epoll_;
  std::uint64_t first_tag_;
  std::size_t next_ = 0;
  bool ready_ = false;
  bool watched_ = false;
  bool paused_ = false;  // out of descriptors
  bool held_back_ = false;
};

// The port and host that a listener is bound to, for SERVER_NAME and SERVER_PORT.
Peer local_name(int socket);

}  // namespace appd::engine
