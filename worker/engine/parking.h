// Parking: the clients of one worker that any sibling could serve as well, because they are between
// two requests and nothing of the next one has been read.
//
// Their sockets are watched in an epoll set of its own too, which the monitor's thread can look
// into while the engine's threads are held up in the app. Those that have asked for something are
// then given away. A connection is parked, in use by the engine, or given; who may touch it is
// decided by one compare-and-swap (Connection::claim(), Connection::give()).
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <vector>

#include "common/result.h"
#include "worker/engine/handover.h"

namespace appd::engine {

class Connection;

// Borrows the connections. give_away() belongs to one thread that holds no lock, all else is called
// under the engine's.
class Parking {
 public:
  // `engine_epoll` is where the engine has registered the connections for itself.
  static Result<std::unique_ptr<Parking>> create(Handover handover, int engine_epoll);

  Handover& handover() { return handover_; }
  // Readable when a client has asked for something since give_away() looked last.
  int fd() const { return epoll_.get(); }

  // It can be given away from now on.
  void park(Connection& connection);
  // It ends: forget it.
  void remove(Connection& connection);

  // Gives clients that have asked for something to the siblings, some at a time. Any were given:
  // the engine is to be woken.
  bool give_away();

  // What became of connections that were given.
  struct Given {
    Connection* connection;
    bool taken_back;  // the queue was full: it is ours again, and has something to read
  };
  bool has_given() const { return has_given_.load(std::memory_order_acquire); }
  std::vector<Given> take_given();

 private:
  Parking(Handover handover, UniqueFd epoll, int engine_epoll)
      : handover_(std::move(handover)), epoll_(std::move(epoll)), engine_epoll_(engine_epoll) {}
  void give(Connection& connection);

  Handover handover_;
  UniqueFd epoll_;
  const int engine_epoll_;
  std::mutex mutex_;  // held while a connection that epoll named is looked at, or goes
  std::vector<Given> given_;
  std::atomic<bool> has_given_ = false;
};

}  // namespace appd::engine
